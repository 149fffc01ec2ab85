import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

/// A script whose import failed. What it had imported until then stays behind in the interpreter and may keep it from ever
/// loading there, so the next attempt is made elsewhere where that is possible; and it is not made at once, lest every request
/// pay for it. Attached use only.
final class FailedScript {
  let path: [UInt8]
  /// The time of the file that it was read from (`ScriptTime`).
  let modified: Int64
  /// Names its exception and traceback; never 0.
  let failure: UInt32
  /// Nothing of it was executed: it could not be read or compiled.
  let leavesNothing: Bool
  /// When it was last tried, here or elsewhere, in nanoseconds of the monotonic clock.
  private var attempted: UInt64
  /// Between two attempts, in nanoseconds.
  private let pause: UInt64

  /// A little more than what the supervisor of daemon processes sees to.
  static let leastPause: UInt64 = 1_100_000_000

  init(path: [UInt8], modified: Int64, failure: UInt32, leavesNothing: Bool, pause: UInt64 = FailedScript.leastPause) {
    self.path = path
    self.modified = modified
    self.failure = failure
    self.leavesNothing = leavesNothing
    self.pause = pause
    attempted = Clock.monotonicNanoseconds()
  }

  /// True: the caller is to try it again, and nobody else for a while.
  func takeAttempt(anyway: Bool) -> Bool {
    let now = Clock.monotonicNanoseconds()
    guard anyway || now &- attempted >= pause else { return false }
    attempted = now
    return true
  }
}
