import Glibc
import PythonRuntime

/// A script that has been imported: its module, and the time of the file that it was read from.
///
/// Whoever uses it while it is replaced still has its module: the last to let it go gives that back, attached.
final class LoadedScript {
  let path: [UInt8]
  let module: PyRef
  /// The module's namespace, borrowed from it.
  let namespace: PyObj
  /// `__mtime__` as it was set, and its value.
  let stamp: PyRef
  let modified: Int64

  init(path: [UInt8], module: consuming PyRef, stamp: consuming PyRef, modified: Int64) throws(Raised) {
    self.path = path
    namespace = try PythonCode.namespace(of: module.object)
    self.module = module
    self.stamp = stamp
    self.modified = modified
  }
}

/// Why a script is not to be had; the log has been told.
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
