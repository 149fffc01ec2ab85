import Platform
import WSGICore
import WSGIMeasurement

/// The failed imports that have been logged: the first of its kind is logged whole, repetitions are counted, and the count is
/// logged at most every ten seconds.
final class FailureLedger: @unchecked Sendable {  // everything is guarded by `condition`
  struct Script: Hashable {
    var path: [UInt8]
    var applicationGroup: [UInt8]
  }

  private struct Entry {
    var failure: UInt32
    var repeats = 0
    /// In nanoseconds of the monotonic clock; nil: there is nothing to say.
    var due: UInt64?
  }

  /// Attempts in interpreters made for them, since the script loaded or changed.
  private struct Attempts {
    var modified: Int64
    var count = 0
  }

  /// Between two lines about a script, in nanoseconds.
  private static let pace: UInt64 = 10_000_000_000

  private let condition = Condition()
  private var entries: [Script: Entry] = [:]
  private var attempts: [Script: Attempts] = [:]
  private var isStarted = false
  private var report: (Script, _ repeats: Int) -> Void = { _, _ in }

  /// Says how to log a count. Once, before any import.
  func begin(_ report: @escaping (Script, Int) -> Void) { self.report = report }

  /// An import failed. True: this failure has not been logged.
  func failed(_ script: Script, _ failure: UInt32) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    if let known = entries[script], known.failure == failure {
      count(script)
      return false
    }
    entries[script] = Entry(failure: failure)
    return true
  }

  /// The number of attempts at a script, in interpreters of their own, that follow at the least pause; later pauses double.
  private static let quickAttempts = 6
  /// About five minutes.
  private static let mostDoublings = 8

  /// Another attempt, in an interpreter made for it, failed: the time until the next, in nanoseconds. Each leaves behind what
  /// extension modules and CPython do not give back, so that they must not go on every second for days.
  func pause(_ script: Script, modified: Int64) -> UInt64 {
    condition.lock()
    defer { condition.unlock() }
    var known = attempts[script] ?? Attempts(modified: modified)
    if known.modified != modified { known = Attempts(modified: modified) }
    known.count = min(known.count + 1, FailureLedger.quickAttempts + FailureLedger.mostDoublings)
    attempts[script] = known
    return FailedScript.leastPause << UInt64(max(known.count - FailureLedger.quickAttempts, 0))
  }

  /// Another process has logged this failure, and counts.
  func expect(_ script: Script, _ failure: UInt32) {
    condition.lock()
    // The attempt that follows is not a request.
    entries[script] = Entry(failure: failure, repeats: -1)
    condition.unlock()
  }

  /// A request was refused because of the failure that is known.
  func repeated(_ script: Script) {
    condition.lock()
    count(script)
    condition.unlock()
  }

  /// A script has loaded: should it fail again, that is news.
  func loaded(_ script: Script) {
    condition.lock()
    let ended = entries.removeValue(forKey: script)
    attempts[script] = nil
    condition.unlock()
    if let ended, ended.repeats > 0 { report(script, ended.repeats) }
  }

  private func count(_ script: Script) {
    guard var entry = entries[script] else { return }
    entry.repeats += 1
    if entry.repeats > 0, entry.due == nil {
      entry.due = Clock.monotonicNanoseconds() &+ FailureLedger.pace
      if !isStarted { isStarted = DetachedThread.start { [self] in loop() } == 0 }
      condition.announce()
    }
    entries[script] = entry
  }

  /// Logs the counts, due or not. Before the process ends.
  func flush() {
    condition.lock()
    let counted = take { _ in true }
    condition.unlock()
    for (script, repeats) in counted { report(script, repeats) }
  }

  private func take(_ isDue: (UInt64) -> Bool) -> [(Script, Int)] {
    let due = entries.filter { _, entry in entry.due.map(isDue) ?? false }
    for script in due.keys {
      entries[script]?.repeats = 0
      entries[script]?.due = nil
    }
    return due.map { ($0.key, $0.value.repeats) }
  }

  private func loop() {
    condition.lock()
    while true {
      guard let next = entries.values.compactMap(\.due).min() else {
        condition.wait()
        continue
      }
      let now = Clock.monotonicNanoseconds()
      guard now >= next else {
        _ = condition.wait(until: next)
        continue
      }
      let counted = take { $0 <= now }
      condition.unlock()
      for (script, repeats) in counted { report(script, repeats) }
      condition.lock()
    }
  }
}
