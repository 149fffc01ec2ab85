import Glibc
import Platform
import WSGICore

extension Supervisor {
  /// Ends everything: no worker is started any more, those that live have their shutdown timeouts. The sentence says why, where
  /// the parent did not order it.
  func stopAll(_ why: String?) {
    guard !isStopping else { return }
    isStopping = true
    if let why { log(nil, .warning, "WSGI0459: \(why); stopping all WSGI processes.") }
    for group in groups { finish(group) }
  }

  /// A group starts no more workers, and those that it has end. The clients of what they may still be running have gone.
  func finish(_ group: Group) {
    guard !group.isFinished else { return }
    group.isFinished = true
    group.reload = nil
    for worker in group.workers where worker.state != .stopping { stop(worker, group) }
    note(group)
  }

  func stop(_ worker: Worker, _ group: Group) {
    receive(from: worker)
    let wasStarting = worker.state == .starting || worker.state == .candidate
    setState(worker, .stopping)
    worker.killAt = Clock.monotonicMicroseconds() &+ group.plan.stopAllowance
    let isTold = worker.channel.outgoing >= 0 && worker.channel.send(.stop)
    // One that starts may be deep in an import and read no message; one that cannot be told is signalled.
    if wasStarting || !isTold { worker.signal(SIGTERM) }
  }

  /// Kills workers that were to end and have not.
  func killOverdue(_ group: Group, now: Int64) {
    for worker in group.processes {
      if let giveUpAt = worker.giveUpAt, giveUpAt <= now { abandon(worker, group) }
      guard let killAt = worker.killAt, killAt <= now else { continue }
      worker.killAt = nil
      worker.wasKilled = true
      worker.giveUpAt = now &+ Self.killAllowance
      worker.signal(SIGKILL)
    }
    group.workers.removeAll(where: \.isDone)
    group.preloaders.removeAll(where: \.isDone)
  }

  /// How long the kernel may take to end a process that was killed.
  static let killAllowance: Int64 = 5_000_000

  /// A killed worker that waits in the kernel, on a file system that does not answer for example, ends when that lets it.
  private func abandon(_ worker: Worker, _ group: Group) {
    guard !worker.isDone, worker.endSeen == nil else { return }
    worker.isDone = true
    receive(from: worker)
    leave(worker.output)
    enter(worker.endRecord(.unknown, worker.readySince == nil ? .overdue : [.overdue, .wasReady]), of: worker)
    store.remove(worker.instance)
    if worker.isChild { unattended.append(worker.pid) }
    log(
      group, .error,
      "WSGI0660: The \(title(worker)) was killed but has not exited: it is blocked in the kernel, most likely on a file system"
        + " that does not answer. No longer waiting for it; it exits when that file system answers or is unmounted.")
    candidateEnded(worker, group)
  }

  /// How long a worker may be about to end after its last report.
  static let deafAllowance: Int64 = 2_000_000

  /// Replaces workers that can no longer report anything: what they log is lost, and so is the news of a changed script.
  func replaceDeaf(_ group: Group, now: Int64) {
    for worker in group.workers {
      guard let deafAt = worker.deafAt, deafAt <= now else { continue }
      worker.deafAt = nil
      guard worker.endSeen == nil, !worker.isLeaving else { continue }
      log(
        group, .warning,
        "WSGI0661: The \(title(worker)) can no longer report anything: its \(Relay.processName) has ended, or it closed its"
          + " connection to it. Replacing the process.")
      drain(worker, .shutdownSignal, group)
    }
  }
}
