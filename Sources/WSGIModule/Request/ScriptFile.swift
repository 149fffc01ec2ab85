import CHTTPD
import Glibc
import WSGIConfig
import WSGICore

// A script's file as httpd and the process that runs it find it.

extension ScriptTime {
  /// The file's current time, following links.
  static func now(_ path: UnsafePointer<CChar>) -> Int64 {
    var about = stat()
    guard stat(path, &about) == 0 else { return unknown }
    let (seconds, overflow) = Int64(about.st_mtim.tv_sec).multipliedReportingOverflow(by: 1_000_000)
    return overflow ? unknown : seconds &+ Int64(about.st_mtim.tv_nsec / 1000)
  }
}

/// `script-user` and `script-group`, checked before a request is queued. The process checks the file again when it loads it: the
/// path may lead elsewhere by then.
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
    return FileOwnership(user: about.st_uid, group: about.st_gid, mode: about.st_mode, links: UInt64(about.st_nlink))
  }

  private static func directoryOwnership(of script: UnsafePointer<CChar>) -> FileOwnership? {
    let path = ByteText(script).bytes
    guard let slash = path.lastIndex(of: 0x2F) else { return nil }
    return withCString([UInt8](path[...max(slash - 1, 0)])) { ownership($0) }
  }
}

extension ChangedRoot {
  /// The path of a script for a process whose root this is.
  func inside(script: UnsafePointer<CChar>) throws(Refusal) -> UnsafePointer<CChar> {
    if let inside = inside(script) { return inside }
    throw Refusal(
      502, "WSGI0081: The script is outside the chroot=\(ByteText(path)) of its process group; put it below that directory.")
  }

  /// Paths in the environ are those that the process finds; the environ leaves out paths that it cannot see.
  func enter(_ fields: inout wsgi_httpd_request) {
    fields.filename = fields.filename.flatMap { inside($0) }
    fields.document_root = fields.document_root.flatMap { inside($0) }
    fields.context_document_root = fields.context_document_root.flatMap { inside($0) }
  }

  /// The rest of the string; nil if the path is not below the root.
  private func inside(_ path: UnsafePointer<CChar>) -> UnsafePointer<CChar>? {
    prefixLength(of: rawBytes(of: path).bindMemory(to: UInt8.self).span).map { path + $0 }
  }
}
