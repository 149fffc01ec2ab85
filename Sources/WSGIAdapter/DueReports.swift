import Platform

/// Entries of which some fall due, and the thread that reports these; it is started with the first that can.
class DueReports: @unchecked Sendable {  // everything, a subclass's too, is guarded by `condition`
  private let condition = Condition()
  private var isStarted = false
  /// False in a process that is to be forked, as long as it must have no other thread.
  final var startsThread = true

  final func withLock<R>(_ body: () -> R) -> R {
    condition.lock()
    defer { condition.unlock() }
    return body()
  }

  /// An entry has come that will fall due. While holding the lock.
  final func announce() {
    if startsThread, !isStarted { isStarted = DetachedThread.start { [self] in loop() } == 0 }
    condition.announce()
  }

  /// When the next entry falls due, in nanoseconds of the monotonic clock; nil: none does. Called while the lock is held.
  var nextDue: UInt64? { nil }

  /// Takes what has fallen due by now; the result reports it, without the lock. Called while the lock is held.
  func takeDue(_ now: UInt64) -> () -> Void { {} }

  private func loop() {
    condition.lock()
    while true {
      guard let next = nextDue else {
        condition.wait()
        continue
      }
      let now = Clock.monotonicNanoseconds()
      guard now >= next else {
        _ = condition.wait(until: next)
        continue
      }
      let report = takeDue(now)
      condition.unlock()
      report()
      condition.lock()
    }
  }
}
