import CPosix
import Glibc
import Platform
import WSGICore

extension Supervisor {
  /// Takes what a worker has sent, so much at a time that no worker can keep the loop to itself.
  func receive(from worker: Worker) {
    guard worker.channel.incoming >= 0, !worker.hasHungUp else { return }
    for _ in 0..<64 {
      switch worker.channel.receive() {
      case .message(let message, _): handle(message, from: worker)
      case .malformed:
        worker.malformedMessages = worker.malformedMessages &+ 1
        if worker.malformedMessages == 1 {
          log(
            worker.group, .warning,
            "WSGI0463: The \(title(worker)) sent a malformed control message; ignored.")
        }
      case .nothing: return
      case .ended:
        worker.hasHungUp = true
        worker.deafAt = Clock.monotonicMicroseconds() &+ Self.deafAllowance
        return
      }
    }
  }

  private func handle(_ message: ControlMessage, from worker: Worker) {
    let group = worker.group
    if worker.isPreloader { return handle(message, fromPreloader: worker) }
    // Nothing is believed of a process that has not been found to exist.
    if worker.source != nil {
      if case .forked(let pid) = message { confirm(worker, pid) }
      return
    }
    switch message {
    case .ready: becomeReady(worker, group)
    case .loaded:
      worker.verdict = .loaded
      worker.settled = Clock.monotonicMicroseconds()
    case .loadFailed(let failure):
      worker.verdict = .failed(failure)
      worker.hasFailedImport = true
    case .importFailed: worker.hasFailedImport = true
    case .startFailed(let sentence): worker.startFailure = String(sentence.prefix(500))
    case .draining(let reason), .ended(let reason):
      worker.reason = worker.reason ?? reason
      // One that leaves by itself; others were told to.
      if worker.isActive {
        pace(worker, group)
        if reason == .memoryRecycle { noteSize(worker, group) }
      }
      if worker.state != .stopping, worker.state != .draining { beginDraining(worker, group) }
    case .answered: worker.hasAnswered = true
    case .reloadWanted(let change):
      // Its threads may have found the change before it came to say that it is ready.
      if worker.state == .starting { becomeReady(worker, group) }
      if change.failure == 0 { reload(change, wantedBy: worker, group) } else { retry(change, wantedBy: worker, group) }
    case .log(let record): relay(record, from: worker)
    case .metricsWanted(let ticket): answerMetrics(ticket, worker, group)
    case .passedOn: worker.hasSaidAll = true
    // Ours to say, not a worker's.
    case .passOn, .begin, .drain, .stop, .handOver, .takeOver, .reloading, .reloadRefused, .takenOver, .metrics, .fork,
      .forked, .stacks, .requests:
      break
    }
  }

  private func becomeReady(_ worker: Worker, _ group: Group) {
    if worker.readySince == nil { worker.readySince = Clock.monotonicMicroseconds() }
    if worker.state == .starting { setState(worker, .ready) }
    // A candidate whose reload is no longer under way has no other process to wait for.
    if worker.state == .candidate, group.reload?.candidates.contains(where: { $0 === worker }) != true { begin(worker) }
  }

  /// A worker leaves because of its size. One that had it soon after its start has successors that will.
  private func noteSize(_ worker: Worker, _ group: Group) {
    let age = Clock.monotonicMicroseconds() &- worker.started
    guard !group.hasReportedSize, age < Self.soonTooLarge else { return }
    group.hasReportedSize = true
    log(
      group, .warning,
      "WSGI0700: The \(title(worker)) is above its memory-recycle \(seconds(age)) after its start; replacing it. No process is"
        + " replaced for its size in its first five seconds. Set memory-recycle well above what a process needs once it has"
        + " loaded its scripts.")
  }

  /// A worker may be too large from its start if it is found to be so before it has this age.
  private static let soonTooLarge: Int64 = 7_000_000

  /// Tells a worker to finish what it runs and to end.
  func drain(_ worker: Worker, _ reason: ShutdownReason, _ group: Group) {
    worker.channel.send(.drain(reason))
    beginDraining(worker, group)
  }

  /// A worker takes no more requests: its replacement starts at once, and it has its graceful timeout to finish.
  func beginDraining(_ worker: Worker, _ group: Group) {
    setState(worker, .draining)
    worker.killAt = group.plan.drainAllowance.map { Clock.monotonicMicroseconds() &+ $0 }
  }

  private func answerMetrics(_ ticket: UInt64, _ worker: Worker, _ group: Group) {
    let now = Clock.monotonicMicroseconds()
    // Ten a second and group: building it costs, and httpd's own counters change no faster. Who asks sooner gets the last one.
    if group.plan.settings.serverMetrics, group.metrics == nil || now &- group.metricsGiven >= 100_000 {
      group.metricsGiven = now
      group.metrics = callbacks.metrics()
    }
    guard group.plan.settings.serverMetrics, let pairs = group.metrics else {
      worker.channel.send(.metrics(ticket: ticket))
      return
    }
    let file = pairs.withUnsafeBytes { raw in raw.baseAddress.map { wsgi_posix_sealed_file($0, raw.count) } ?? -EINVAL }
    worker.channel.send(.metrics(ticket: ticket), descriptor: file)
    if file >= 0 { close(file) }
  }
}
