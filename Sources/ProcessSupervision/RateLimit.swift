/// Lets so many log lines of a worker through: a burst, and after that a number a second. Times in microseconds.
struct RateLimit: Equatable {
  static let burst: Int64 = 2_000
  static let perSecond: Int64 = 500
  private static let second: Int64 = 1_000_000

  private var tokens: Int64
  private var refilled: Int64
  private(set) var suppressed = 0

  init(now: Int64) {
    tokens = Self.burst
    refilled = now
  }

  /// Whether one more line may pass.
  mutating func take(now: Int64) -> Bool {
    let passed = max(now &- refilled, 0)
    let fresh = min(passed, Self.second &* 60) &* Self.perSecond / Self.second
    if fresh > 0 {
      tokens = min(tokens &+ fresh, Self.burst)
      refilled = now
    }
    guard tokens > 0 else {
      suppressed = suppressed &+ 1
      return false
    }
    tokens = tokens &- 1
    return true
  }

  /// How many lines were kept back since this was last asked.
  mutating func takeSuppressed() -> Int {
    defer { suppressed = 0 }
    return suppressed
  }
}
