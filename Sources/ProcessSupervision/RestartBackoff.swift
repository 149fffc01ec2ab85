/// When a process group may start its next worker. All times in microseconds of the monotonic clock.
///
/// A worker that ended as it should have, or had answered requests, is replaced at once as far as `StartPace` allows. One that
/// could not start at all would fail again: the wait doubles from a quarter of a second to half a minute, and one worker at a
/// time tries. One that crashed soon after it had started waits less, at most `longestAfterCrash`: what kills it may be a single
/// kind of request, and a client that sends it must not keep the group down for longer than that.
struct RestartBackoff: Equatable {
  static let shortest: Int64 = 250_000
  static let longest: Int64 = 30_000_000
  static let longestAfterCrash: Int64 = 2_000_000
  /// A worker that has been ready for that long is not part of a crash loop.
  static let stable: Int64 = 1_000_000
  /// A service script that returns sooner than this is not run again before it.
  static let servicePace: Int64 = 1_000_000

  private(set) var failures = 0
  /// No worker is to be started before this time.
  private(set) var notBefore: Int64 = 0
  private var lastFailure: Int64 = .min

  /// Whether only one worker at a time is to be started, to see whether it can be done again.
  var isProbing: Bool { failures > 0 }

  /// A worker that was started at `started` could not start. Those that were started together count once.
  mutating func failedToStart(started: Int64, now: Int64) {
    wait(Self.longest, started: started, now: now)
  }

  private mutating func wait(_ longest: Int64, started: Int64, now: Int64) {
    guard started >= lastFailure else { return }
    failures = min(failures &+ 1, 16)
    lastFailure = now
    notBefore = now &+ min(Self.shortest << Int64(min(failures &- 1, 8)), longest)
  }

  /// A worker died without being asked to, `ready` microseconds after it had become ready.
  mutating func crashed(ready: Int64, started: Int64, now: Int64) {
    if ready < Self.stable { wait(Self.longestAfterCrash, started: started, now: now) } else { succeeded() }
  }

  /// A service script returned after `ran` microseconds.
  mutating func serviceReturned(after ran: Int64, now: Int64) {
    failures = 0
    if ran < Self.servicePace { notBefore = max(notBefore, now &+ Self.servicePace &- max(ran, 0)) }
  }

  /// A worker has been ready for long enough, has answered a request, or ended as it should have.
  mutating func succeeded() {
    failures = 0
    notBefore = 0
  }
}
