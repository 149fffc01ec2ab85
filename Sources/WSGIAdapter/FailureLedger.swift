import Platform

/// The failed imports that have been logged: the first of its kind is logged whole, repetitions are counted, and the count is
/// logged at most every ten seconds.
final class FailureLedger: DueReports, @unchecked Sendable {
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

  private var entries: [Script: Entry] = [:]
  private var attempts: [Script: Attempts] = [:]
  private var report: (Script, _ repeats: Int) -> Void = { _, _ in }

  /// Says how to log a count. Once, before any import.
  func begin(_ report: @escaping (Script, Int) -> Void) { self.report = report }

  /// An import failed. True: this failure has not been logged.
  func failed(_ script: Script, _ failure: UInt32) -> Bool {
    withLock {
      guard entries[script]?.failure != failure else {
        count(script)
        return false
      }
      entries[script] = Entry(failure: failure)
      return true
    }
  }

  /// The number of attempts at a script, in interpreters of their own, that follow at the least pause; later pauses double.
  private static let quickAttempts = 6
  /// About five minutes.
  private static let mostDoublings = 8

  /// Another attempt, in an interpreter made for it, failed: the time until the next, in nanoseconds. Each leaves behind what
  /// extension modules and CPython do not give back, so that they must not go on every second for days.
  func pause(_ script: Script, modified: Int64) -> UInt64 {
    let count = withLock {
      var known = attempts[script] ?? Attempts(modified: modified)
      if known.modified != modified { known = Attempts(modified: modified) }
      known.count = min(known.count + 1, FailureLedger.quickAttempts + FailureLedger.mostDoublings)
      attempts[script] = known
      return known.count
    }
    return FailedScript.leastPause << UInt64(max(count - FailureLedger.quickAttempts, 0))
  }

  /// Another process has logged this failure, and counts.
  func expect(_ script: Script, _ failure: UInt32) {
    // The attempt that follows is not a request.
    withLock { entries[script] = Entry(failure: failure, repeats: -1) }
  }

  /// A request was refused because of the failure that is known.
  func repeated(_ script: Script) { withLock { count(script) } }

  /// A script has loaded: should it fail again, that is news.
  func loaded(_ script: Script) {
    let ended = withLock {
      attempts[script] = nil
      return entries.removeValue(forKey: script)
    }
    if let ended, ended.repeats > 0 { report(script, ended.repeats) }
  }

  private func count(_ script: Script) {
    guard var entry = entries[script] else { return }
    entry.repeats += 1
    if entry.repeats > 0, entry.due == nil {
      entry.due = Clock.monotonicNanoseconds() &+ FailureLedger.pace
      announce()
    }
    entries[script] = entry
  }

  /// Logs the counts, due or not. Before the process ends.
  func flush() {
    for (script, repeats) in withLock({ take(until: .max) }) { report(script, repeats) }
  }

  private func take(until now: UInt64) -> [(Script, Int)] {
    let due = entries.filter { _, entry in entry.due.map { $0 <= now } ?? false }
    for script in due.keys {
      entries[script]?.repeats = 0
      entries[script]?.due = nil
    }
    return due.map { ($0.key, $0.value.repeats) }
  }

  override var nextDue: UInt64? { entries.values.compactMap(\.due).min() }

  override func takeDue(_ now: UInt64) -> () -> Void {
    let counted = take(until: now)
    return { [self] in for (script, repeats) in counted { report(script, repeats) } }
  }
}
