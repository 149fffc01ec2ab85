import Glibc
import Platform
import PythonRuntime

/// A script that has been imported: its module, and the time of the file that it was read from.
///
/// A request that uses it while it is replaced still has its module: the last to let it go gives that back, attached.
/// Attached use only.
final class LoadedScript {
  let path: [UInt8]
  let module: PyRef
  /// The module's namespace, borrowed from it.
  let namespace: PyObj
  /// `__mtime__` as it was set, and its value.
  let stamp: PyRef
  let modified: Int64
  var asked: AskedReloads

  init(
    path: [UInt8], module: consuming PyRef, stamp: consuming PyRef, modified: Int64, asked: AskedReloads
  ) throws(Raised) {
    self.path = path
    self.asked = asked
    namespace = try PythonCode.namespace(of: module.object)
    self.module = module
    self.stamp = stamp
    self.modified = modified
  }
}

/// A script whose import failed. Modules that it had imported until then stay behind in the interpreter and may keep it from ever
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

  /// A little more than the pause that the supervisor of daemon processes makes.
  static let leastPause: UInt64 = 1_100_000_000

  init(path: [UInt8], modified: Int64, failure: UInt32, leavesNothing: Bool, pause: UInt64 = FailedScript.leastPause) {
    self.path = path
    self.modified = modified
    self.failure = failure
    self.leavesNothing = leavesNothing
    self.pause = pause
    attempted = Clock.monotonicNanoseconds()
  }

  /// True: the caller is to try it again, and no other for a while.
  func takeAttempt(anyway: Bool) -> Bool {
    let now = Clock.monotonicNanoseconds()
    guard anyway || now &- attempted >= pause else { return false }
    attempted = now
    return true
  }
}

/// Why a script cannot be run; logged.
enum ScriptFailure: Error {
  /// The script is to be loaded by a new process: it changed, or its import failed some time ago. The time is the file's, as it
  /// was compared; `failure` names how the import failed, 0: it did not.
  case stale(modified: Int64, failure: UInt32)
  /// It could not be read, compiled or executed; `failure` as above, 0: for a reason of our own.
  case notLoaded(failure: UInt32)
  /// Its owner is not one whose scripts the process group runs.
  case forbidden
  /// Another request has been loading it, or a script of the same interpreter, for too long.
  case stillLoading
  /// The interpreter has been retired: the one that bears its name now is to load it.
  case retired
}

/// The scripts imported into one interpreter. Attached use only.
final class ScriptTable {
  private var loaded: [LoadedScript] = []
  private var failed: [FailedScript] = []

  func find(_ path: UnsafeRawBufferPointer) -> LoadedScript? {
    for script in loaded where script.path.count == path.count {
      let isThis = script.path.withUnsafeBytes { known in
        guard let a = known.baseAddress, let b = path.baseAddress else { return true }
        return memcmp(a, b, path.count) == 0
      }
      if isThis { return script }
    }
    return nil
  }

  /// Any that has loaded.
  var first: LoadedScript? { loaded.first }

  func failure(_ path: UnsafeRawBufferPointer) -> FailedScript? { failed.first { $0.path.elementsEqual(path) } }

  func replace(_ script: LoadedScript) {
    remove(script.path)
    failed.removeAll { $0.path == script.path }
    loaded.append(script)
  }

  func replace(_ script: FailedScript) {
    failed.removeAll { $0.path == script.path }
    failed.append(script)
  }

  func remove(_ path: [UInt8]) { loaded.removeAll { $0.path == path } }

  func drop() { loaded = [] }
}
