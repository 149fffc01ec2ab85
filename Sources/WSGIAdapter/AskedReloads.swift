import Platform

/// How far a script is with the reloads that applications of its group have asked for.
struct AskedReloads {
  /// Calls before its code was read, or that it has answered.
  private(set) var answered: UInt64
  /// The last that a request has seen.
  var latest: UInt64
  /// Of all application groups, when they were looked at last.
  var calls: UInt64
  /// No call is answered before that time, in milliseconds of the monotonic clock.
  private var notBefore: Int64 = 0

  /// A script is about to be loaded.
  init(_ board: ReloadBoard, _ name: [UInt8]) {
    calls = board.calls
    answered = board.calls(of: name)
    latest = answered
  }

  /// It has been loaded, or another attempt has failed, or another process is asked to: the next waits for ten times as long.
  mutating func answer(began: Int64) {
    let now = Clock.monotonicMilliseconds()
    answered = latest
    notBefore = now &+ max(AskedReloads.leastPause, min(now &- began, 60_000) &* 10)
  }

  var isDue: Bool { latest != answered && Clock.monotonicMilliseconds() >= notBefore }

  /// In milliseconds.
  private static let leastPause: Int64 = 1_000
}
