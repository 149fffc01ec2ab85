import CPosix
import Glibc

extension Supervisor {
  /// Ends everything: no worker is started any more, those that live have their shutdown timeouts. The sentence says why, where
  /// nobody ordered it.
  func stopAll(_ why: String?) {
    guard !isStopping else { return }
    isStopping = true
    if let why { log(nil, SupervisorLog.warning, "WSGI0459: \(why): all WSGI processes are stopped.") }
    for group in groups { finish(group) }
  }

  /// Notices that nobody can put requests into a group's queue any more, and that all have been taken.
  func checkQueue(_ group: ProcessGroup) {
    guard !group.isFinished else { return }
    if !group.isEnding {
      var entry = pollfd(fd: group.plan.queue, events: 0, revents: 0)
      guard poll(&entry, 1, 0) > 0, entry.revents & Int16(POLLHUP | POLLNVAL | POLLERR) != 0 else { return }
      group.isEnding = true
    }
    var byte: UInt8 = 0
    // More than 0: a request still waits for a worker.
    if recv(group.plan.queue, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) <= 0 || group.plan.settings.isService { finish(group) }
  }

  /// A group starts no more workers, and those that it has end. Nobody waits for what they may still be running: who asked
  /// has gone.
  func finish(_ group: ProcessGroup) {
    guard !group.isFinished else { return }
    group.isFinished = true
    group.reload = nil
    for worker in group.workers where worker.state != .stopping { stop(worker, group) }
  }

  private func stop(_ worker: Worker, _ group: ProcessGroup) {
    let wasStarting = worker.state == .starting || worker.state == .candidate
    setState(worker, .stopping)
    worker.killAt = wsgi_posix_monotonic() &+ group.plan.stopAllowance
    let isTold = worker.line.outgoing >= 0 && worker.line.send(.stop)
    // One that starts may be deep in somebody's import and read no message; one that cannot be told is signalled.
    if wasStarting || !isTold { worker.signal(SIGTERM) }
  }

  /// Kills workers that were to end and have not.
  func killOverdue(_ group: ProcessGroup, now: Int64) {
    for worker in group.workers {
      guard let killAt = worker.killAt, killAt <= now else { continue }
      worker.killAt = nil
      worker.wasKilled = true
      worker.signal(SIGKILL)
    }
  }
}
