import Glibc
import Platform
import ProcessSupervision
import Synchronization

/// Receives the supervisor's orders, on a thread of its own, and carries them out.
final class ControlReceiver: Sendable {
  private enum Recipient {
    /// Python is being started; what comes is kept until that is done.
    case starting([(message: ControlMessage, descriptor: Int32)])
    case pool(RequestPool, awaitsBegin: Bool)
    case service
  }

  private let channel: ControlChannel
  private let recipient = Mutex(Recipient.starting([]))
  private let metrics: ScoreboardQuery
  private let reports = Mutex<ProcessReports?>(nil)
  /// A service process was told to end.
  private let isEnding = Atomic<Bool>(false)

  init(_ channel: ControlChannel, metrics: ScoreboardQuery) {
    self.channel = channel
    self.metrics = metrics
  }

  /// Receives until the other end is closed. An errno value, or 0.
  func start(stackSize: Int) -> Int32 {
    DetachedThread.start(named: "wsgi:control", stackSize: stackSize, takesSignals: true) { [self] in
      while true {
        guard channel.wait(milliseconds: -1) else { continue }
        switch channel.receive() {
        case .message(let message, let descriptor): receive(message, descriptor)
        case .malformed, .nothing: continue
        case .ended:
          receive(.drain(.shutdownSignal), -1)
          return
        }
      }
    }
  }

  var isServiceEnding: Bool { isEnding.load(ordering: .acquiring) }

  /// From now on the process can tell what it does.
  func show(_ reports: ProcessReports) { self.reports.withLock { $0 = reports } }

  /// From now on orders are for `pool`. A candidate takes requests only when it is told to.
  func deliver(to pool: RequestPool, awaitsBegin: Bool) {
    replay(.pool(pool, awaitsBegin: awaitsBegin))
  }

  /// From now on orders are for the scripts of a service process, which run on the main thread.
  func deliverToService() { replay(.service) }

  private func replay(_ next: sending Recipient) {
    let early = recipient.withLock { recipient in
      guard case .starting(let early) = recipient else { return [(message: ControlMessage, descriptor: Int32)]() }
      recipient = next
      return early
    }
    for (message, descriptor) in early { receive(message, descriptor) }
  }

  private func receive(_ message: ControlMessage, _ descriptor: Int32) {
    if case .metrics(let ticket) = message { return metrics.answer(ticket, descriptor) }
    if message == .stacks { return report(.stacks, to: descriptor) }
    if message == .requests { return report(.requests, to: descriptor) }
    let action = recipient.withLock { recipient -> (@Sendable () -> Void)? in
      switch recipient {
      case .starting(var early):
        if message == .stop || early.count >= 64 { _exit(0) }
        early.append((message, descriptor))
        recipient = .starting(early)
        return nil
      case .service: return { [self] in endService(message) }
      case .pool(let pool, let awaitsBegin):
        let begins = awaitsBegin && ControlReceiver.ends(waiting: message)
        if begins { recipient = .pool(pool, awaitsBegin: false) }
        return { ControlReceiver.obey(message, descriptor, pool, begins: begins) }
      }
    }
    action?()
  }

  private func report(_ kind: ProcessReports.Kind, to socket: Int32) {
    if socket >= 0, reports.withLock({ $0?.want(kind, on: socket) }) != true { close(socket) }
  }

  /// A candidate that is not to become a worker answers what it was given all the same.
  private static func ends(waiting message: ControlMessage) -> Bool {
    switch message {
    case .begin, .drain, .stop: true
    default: false
    }
  }

  private static func obey(_ message: ControlMessage, _ descriptor: Int32, _ pool: RequestPool, begins: Bool) {
    switch message {
    case .begin: break
    case .drain(let reason): pool.drain(reason)
    case .stop: pool.stop(.shutdownSignal)
    case .handOver: if descriptor >= 0 { pool.handOver(to: descriptor) }
    case .takeOver: if descriptor >= 0 { pool.election.add(descriptor) }
    case .reloading(let change): pool.reloads.isBeingReloaded(change)
    case .reloadRefused(let change): pool.keepCode(change)
    case .takenOver: pool.askAgain()
    default: if descriptor >= 0 { close(descriptor) }
    }
    if begins, !pool.start() { pool.stop(.shutdownSignal) }
  }

  private func endService(_ message: ControlMessage) {
    switch message {
    case .stop, .drain:
      isEnding.store(true, ordering: .releasing)
      // What ends a script that runs on the main thread: Python's own handler raises SystemExit there.
      kill(getpid(), SIGTERM)
    default: break
    }
  }
}
