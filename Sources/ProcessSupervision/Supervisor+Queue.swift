import CPosix
import Glibc
import WSGICore

extension Supervisor {
  /// How long requests may wait for a process when their clients have gone.
  private static let queueAllowance: Int64 = 5_000_000
  /// Between two attempts at making a queue.
  private static let retryPause: Int64 = 1_000_000

  /// Notices that those have gone who put requests into the queues, and has the queues end.
  func checkLifelines() {
    if requestLifeline.hasEnded {
      poller.forget(requestLifeline.watched)
      requestLifeline.lookAway()
      for group in groups where !group.plan.settings.isService { end(group) }
    }
    if serviceLifeline.hasEnded {
      poller.forget(serviceLifeline.watched)
      serviceLifeline.lookAway()
      for group in groups where group.plan.settings.isService { end(group) }
    }
  }

  private func end(_ group: Group) {
    group.queue.end()
    note(group)
  }

  /// Notices that a group's queue has come to its end: no process can put requests into it any more, or one has shut it down.
  func checkQueue(_ group: Group, now: Int64) {
    guard !group.isFinished else { return }
    if group.queue.readEnd < 0 {
      if requestLifeline.watched < 0 { finish(group) }
      return
    }
    if group.endingSince == nil {
      guard hasHungUp(group.queue.readEnd) else { return }
      if group.queue.writeEnd >= 0 { return renewQueue(group, now: now) }
      group.renewAt = nil
      group.endingSince = now
    }
    // More than 0: a request still waits for a worker. It is not looked at: a worker that receives into a page that never comes
    // keeps everybody else who receives from the queue, or peeks, waiting.
    if wsgi_posix_waiting(group.queue.readEnd) <= 0 || group.plan.settings.isService { return finish(group) }
    guard let since = group.endingSince, now >= since &+ Self.queueAllowance else { return }
    log(
      group, .warning,
      "WSGI0663: No process of process group '\(group.plan.name)' takes the requests left in its queue by an earlier"
        + " configuration, and no client waits for them any longer; ending its processes.")
    finish(group)
  }

  private func hasHungUp(_ queue: Int32) -> Bool {
    var entry = pollfd(fd: queue, events: 0, revents: 0)
    return poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLHUP | POLLNVAL | POLLERR) != 0
  }

  /// Gives a group a new queue, as often as `StartPace` allows. Its processes take what is left in the old one and end.
  private func renewQueue(_ group: Group, now: Int64) {
    let due = group.renewAt ?? max(group.pace.notBefore, now)
    group.renewAt = due
    guard now >= due else { return }
    let failure = replaceQueue(group)
    guard failure == 0 else { return renewalFailed(group, failure, now: now) }
    group.renewAt = nil
    if group.pace.take(now: now) { reportPace(group) }
    let old = group.workers.filter { $0.queueNumber == group.queueNumber }
    group.queueNumber &+= 1
    report(old, group)
    if !group.plan.settings.isService { replace(old, group) }
  }

  /// Gives up what lies in the queue: those who sent it find another. An errno value, or 0.
  func replaceQueue(_ group: Group) -> Int32 { group.plan.makeFiles == nil ? offerQueue(group) : reopen(group) }

  /// An errno value, or 0.
  private func offerQueue(_ group: Group) -> Int32 {
    guard let ends = group.plan.makeQueue() else { return errno }
    defer {
      close(ends.read)
      close(ends.write)
    }
    let failure = group.queue.put(ends)
    guard failure == 0 else { return failure }
    // As all other processes do: where that fails the queue is found closed again.
    poller.forget(group.queue.readEnd)
    group.queue.takeOver()
    return 0
  }

  private func reopen(_ group: Group) -> Int32 {
    letGo(group)
    return openQueue(group)
  }

  private func report(_ old: [Worker], _ group: Group) {
    let pids = old.map { "\($0.pid)" }.joined(separator: ", ")
    let who =
      switch old.count {
      case 0: "A process that has ended, or a program that it started,"
      case 1: "Process \(pids), or a program that it started,"
      default: "One of processes \(pids), or a program that they started,"
      }
    log(
      group, .error,
      "WSGI0672: \(who) has shut down the queue of process group '\(group.plan.name)', which no application should do."
        + " Created a new queue\(group.plan.settings.isService ? "." : "; starting new processes.")")
  }

  private func renewalFailed(_ group: Group, _ number: Int32, now: Int64) {
    group.renewAt = now &+ Self.retryPause
    log(
      group, .alert,
      "WSGI0673: The queue of process group '\(group.plan.name)' was shut down by one of its processes, and a new one cannot be"
        + " created: \(String(cString: strerror(number))). Trying again in one second.")
  }

  /// Those that had the old queue see its end when they have taken what it holds, and need not be told.
  private func replace(_ old: [Worker], _ group: Group) {
    // What candidates were to take over goes back to the queue with the workers that have it.
    for worker in old where worker.state == .candidate { worker.channel.send(.drain(.shutdownSignal)) }
    for worker in old where !worker.isLeaving { beginDraining(worker, group) }
    group.reload = nil
  }
}
