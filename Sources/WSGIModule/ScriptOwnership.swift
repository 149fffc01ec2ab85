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
        403, "WSGI\(number(error, isUser: isUser)): \(reason(error)), which \(option)= of process group '\(group.name)' forbids.")
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

  private static func number(_ failure: ScriptOwnershipFailure, isUser: Bool) -> String {
    switch (failure, isUser) {
    case (.unreadable(.script), false): "0153"
    case (.wrongGroup(.script), _), (.wrongUser(.script), false): "0154"
    case (.writableByOthers(.script), false), (.writableByGroup(.script), false): "0155"
    case (.unreadable(.directory), false): "0157"
    case (.wrongGroup(.directory), _), (.wrongUser(.directory), false): "0158"
    case (.writableByOthers(.directory), false), (.writableByGroup(.directory), false): "0159"
    case (.unreadable(.script), true): "0162"
    case (.wrongUser(.script), true): "0163"
    case (.writableByGroup(.script), true): "0164"
    case (.writableByOthers(.script), true): "0165"
    case (.unreadable(.directory), true): "0168"
    case (.wrongUser(.directory), true): "0169"
    case (.writableByGroup(.directory), true): "0170"
    case (.writableByOthers(.directory), true): "0171"
    }
  }
}
