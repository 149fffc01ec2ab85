import Glibc
import WSGIConfig
import WSGICore

/// `script-user` and `script-group`, as far as a request can be told of them before it is queued. What a process loads it checks
/// itself: a path may lead elsewhere by then.
enum ScriptOwnership {
  /// Looks at a script and its directory.
  static func check(_ script: UnsafePointer<CChar>, for owner: ScriptOwner, group: String) throws(Refusal) {
    do throws(ScriptOwnershipFailure) {
      try owner.check(script: ownership(script), directory: directoryOwnership(of: script))
    } catch {
      throw Refusal(403, owner.message(error, processGroup: group))
    }
  }

  private static func ownership(_ path: UnsafePointer<CChar>) -> FileOwnership? {
    var about = stat()
    guard stat(path, &about) == 0 else { return nil }
    return FileOwnership(user: about.st_uid, group: about.st_gid, mode: about.st_mode)
  }

  private static func directoryOwnership(of script: UnsafePointer<CChar>) -> FileOwnership? {
    let path = ByteText(script).bytes
    guard let slash = path.lastIndex(of: 0x2F) else { return nil }
    return withCString([UInt8](path[...max(slash - 1, 0)])) { ownership($0) }
  }
}
