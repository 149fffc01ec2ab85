/// How often a group may make up for a process that ended young, or load a changed script: a number at once, and after that a
/// number a second. Whatever such an end looks like, the group's processes decide it, and a start costs everybody. Times in
/// microseconds of the monotonic clock.
struct StartPace: Equatable {
  /// A process that lived for this long is replaced at once.
  static let young: Int64 = 1_000_000
  private static let second: Int64 = 1_000_000

  let atOnce: Int64
  let perSecond: Int64
  /// Of a start, in millionths.
  private var allowance: Int64
  private var refilled: Int64 = 0
  /// The next start is to wait for this time.
  private(set) var notBefore: Int64 = 0
  /// Starts had to wait since there last was all of the allowance.
  private(set) var isLimiting = false

  init(processes: Int) {
    let processes = Int64(min(max(processes, 1), 1_000))
    perSecond = 2 &* processes
    atOnce = 20 &+ 2 &* processes
    allowance = atOnce &* Self.second
  }

  /// Takes note of one start. True: from now on they have to wait.
  mutating func take(now: Int64) -> Bool {
    let passed = min(max(now &- refilled, 0), 60 &* Self.second)
    allowance = min(allowance &+ passed &* perSecond, atOnce &* Self.second)
    refilled = now
    if allowance == atOnce &* Self.second { isLimiting = false }
    // What is owed has a limit as well: those that end together all count, but no start waits for long.
    allowance = max(allowance &- Self.second, -atOnce &* Self.second)
    guard allowance < 0 else { return false }
    notBefore = now &+ -allowance / perSecond
    defer { isLimiting = true }
    return !isLimiting
  }
}
