import WSGICore

/// How much of what a worker, or all workers of a group, write outside of requests goes into the log, and what is to be said of
/// the rest. Times in microseconds of the monotonic clock.
struct OutputLimit {
  /// Dropped lines are reported in one line a second.
  static let pause: Int64 = 1_000_000

  private var allowance: LogAllowance
  /// When the first of what is missing, and has not been told, was kept back.
  private var missingSince: Int64?

  init(_ rate: LogRate) { allowance = LogAllowance(rate) }

  /// Whether one more record may pass.
  mutating func take(bytes: Int, now: Int64) -> Bool {
    if allowance.take(bytes: bytes, now: now &* 1000) { return true }
    if missingSince == nil { missingSince = now }
    return false
  }

  /// When what is missing is to be told; nil: nothing is.
  var due: Int64? { missingSince.map { $0 &+ OutputLimit.pause } }

  /// The dropped records to report now. For a writer that has ended, all of them.
  mutating func takeMissing(now: Int64, isLast: Bool = false) -> DroppedRecords? {
    guard let due, isLast || now >= due else { return nil }
    missingSince = nil
    return allowance.takeDropped()
  }
}
