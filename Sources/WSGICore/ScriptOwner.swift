/// Owner and permissions of a file.
public struct FileOwnership: Equatable, Sendable {
  public let user: UInt32
  public let group: UInt32
  /// The permission bits, as `stat` gives them.
  public let mode: UInt32

  public init(user: UInt32, group: UInt32, mode: UInt32) {
    self.user = user
    self.group = group
    self.mode = mode
  }

  fileprivate var isWritableByGroup: Bool { mode & 0o020 != 0 }
  fileprivate var isWritableByOthers: Bool { mode & 0o002 != 0 }
}

/// Why a script may not run in a process group that demands an owner of it.
public enum ScriptOwnershipFailure: Error, Equatable, Sendable {
  case unreadable(Place)
  case wrongUser(Place)
  case wrongGroup(Place)
  case writableByGroup(Place)
  case writableByOthers(Place)

  public enum Place: Sendable { case script, directory }
}

/// `script-user` or `script-group` of a process group: it runs the scripts of this owner only.
public enum ScriptOwner: Equatable, Sendable {
  case user(UInt32)
  case group(UInt32)

  /// Reads what `text` gives.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let number = UInt32(parts[1]) else { return nil }
    switch parts[0] {
    case "user": self = .user(number)
    case "group": self = .group(number)
    default: return nil
    }
  }

  public var text: String {
    switch self {
    case .user(let number): "user:\(number)"
    case .group(let number): "group:\(number)"
    }
  }

  /// Checks a script and the directory that it is in; nil stands for what cannot be looked at.
  public func check(script: FileOwnership?, directory: FileOwnership?) throws(ScriptOwnershipFailure) {
    try check(script, .script)
    try check(directory, .directory)
  }

  private func check(_ file: FileOwnership?, _ place: ScriptOwnershipFailure.Place) throws(ScriptOwnershipFailure) {
    guard let file else { throw .unreadable(place) }
    switch self {
    case .user(let user):
      guard file.user == user else { throw .wrongUser(place) }
      guard !file.isWritableByGroup else { throw .writableByGroup(place) }
    case .group(let group):
      guard file.group == group else { throw .wrongGroup(place) }
    }
    guard !file.isWritableByOthers else { throw .writableByOthers(place) }
  }

  /// The line for the log about a script that may not run.
  public func message(_ failure: ScriptOwnershipFailure, processGroup: String) -> String {
    let option = isUser ? "script-user" : "script-group"
    return "\(number(failure)): \(reason(failure)), which \(option)= of process group '\(processGroup)' forbids."
  }

  private var isUser: Bool {
    if case .user = self { true } else { false }
  }

  private func reason(_ failure: ScriptOwnershipFailure) -> String {
    switch failure {
    case .unreadable(let place): "Cannot determine the owner of the WSGI script\(suffix(place))"
    case .wrongUser(let place): "The WSGI script\(suffix(place)) belongs to another user"
    case .wrongGroup(let place): "The WSGI script\(suffix(place)) belongs to another group"
    case .writableByGroup(let place): "The WSGI script\(suffix(place)) is writable by its group"
    case .writableByOthers(let place): "The WSGI script\(suffix(place)) is writable by everyone"
    }
  }

  private func suffix(_ place: ScriptOwnershipFailure.Place) -> String { place == .directory ? "'s directory" : "" }

  private func number(_ failure: ScriptOwnershipFailure) -> StaticString {
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
