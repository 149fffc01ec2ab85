import Glibc
import WSGIConfig

/// `script-user` and `script-group`: a process group runs the scripts of its owner only.
enum ScriptOwnership {
  /// Looks at a script and its directory.
  static func check(_ script: UnsafePointer<CChar>, for group: DaemonGroup) throws(Refusal) {
    guard group.restrictsScripts else { return }
    do throws(ScriptOwnershipFailure) {
      try group.checkOwnership(script: ownership(script), directory: directoryOwnership(of: script))
    } catch {
      let isUser = group.scriptUser != nil
      let option = isUser ? "script-user" : "script-group"
      throw Refusal(
        403, "\(number(error, isUser: isUser)): \(reason(error)), which \(option)= of process group '\(group.name)' forbids.")
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

  private static func reason(_ failure: ScriptOwnershipFailure) -> String {
    switch failure {
    case .unreadable(let place): "The owner of the WSGI script\(suffix(place)) cannot be told"
    case .wrongUser(let place): "The WSGI script\(suffix(place)) belongs to another user"
    case .wrongGroup(let place): "The WSGI script\(suffix(place)) belongs to another group"
    case .writableByGroup(let place): "The WSGI script\(suffix(place)) is writable by its group"
    case .writableByOthers(let place): "The WSGI script\(suffix(place)) is writable by everyone"
    }
  }

  private static func suffix(_ place: ScriptOwnershipFailure.Place) -> String { place == .directory ? "'s directory" : "" }

  private static func number(_ failure: ScriptOwnershipFailure, isUser: Bool) -> StaticString {
    switch (failure, isUser) {
    case (.unreadable(.script), false): "WSGI0153"
    case (.wrongGroup(.script), _), (.wrongUser(.script), false): "WSGI0154"
    case (.writableByOthers(.script), false), (.writableByGroup(.script), false): "WSGI0155"
    case (.unreadable(.directory), false): "WSGI0157"
    case (.wrongGroup(.directory), _), (.wrongUser(.directory), false): "WSGI0158"
    case (.writableByOthers(.directory), false), (.writableByGroup(.directory), false): "WSGI0159"
    case (.unreadable(.script), true): "WSGI0162"
    case (.wrongUser(.script), true): "WSGI0163"
    case (.writableByGroup(.script), true): "WSGI0164"
    case (.writableByOthers(.script), true): "WSGI0165"
    case (.unreadable(.directory), true): "WSGI0168"
    case (.wrongUser(.directory), true): "WSGI0169"
    case (.writableByGroup(.directory), true): "WSGI0170"
    case (.writableByOthers(.directory), true): "WSGI0171"
    }
  }
}
