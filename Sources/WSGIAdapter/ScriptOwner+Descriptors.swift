import Glibc
import PythonRuntime
import WSGICore

extension NativeFunctions {
  /// check_owner(script, directory): raises where the process group runs no scripts of such an owner. What is checked are the
  /// descriptors that are read, not paths that may lead elsewhere a moment later.
  func checkOwner(script: Int32, directory: Int32) throws(Raised) {
    let settings = contents.adapter.settings
    guard let owner = settings.scriptOwner else { return }
    do throws(ScriptOwnershipFailure) {
      try owner.check(script: FileOwnership(of: script), directory: FileOwnership(of: directory))
    } catch {
      let message = owner.message(error, processGroup: settings.processGroup.text)
      contents.scriptRefusal = message
      throw Raised(.runtimeError, message)
    }
  }
}

extension FileOwnership {
  /// nil where the descriptor cannot be looked at.
  fileprivate init?(of descriptor: Int32) {
    var about = stat()
    guard fstat(descriptor, &about) == 0 else { return nil }
    self.init(user: about.st_uid, group: about.st_gid, mode: about.st_mode)
  }
}
