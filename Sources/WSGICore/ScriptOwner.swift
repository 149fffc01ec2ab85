/// Owner and permissions of a file.
public struct FileOwnership: Equatable, Sendable {
  public let user: UInt32
  public let group: UInt32
  /// Type and permission bits, as `stat` gives them.
  public let mode: UInt32
  /// Names that it has.
  public let links: UInt64

  public init(user: UInt32, group: UInt32, mode: UInt32, links: UInt64 = 1) {
    self.user = user
    self.group = group
    self.mode = mode
    self.links = links
  }

  fileprivate var isRegular: Bool { mode & 0o170000 == 0o100000 }

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
  /// It is a FIFO, a device or the like, or has several names: another of them may be in somebody else's directory.
  case notPlain(Place)

  public enum Place: Sendable { case script, directory }
}

/// `script-user` or `script-group` of a process group: it runs the scripts of this owner only.
public enum ScriptOwner: Equatable, Sendable {
  /// A group that runs as the owner of its scripts (WSGIDaemonTemplate): a user, and the user's primary group.
  case tenant(user: UInt32, group: UInt32)
  case user(UInt32)
  case group(UInt32)

  /// Reads what `text` gives.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count >= 2, let number = UInt32(parts[1]) else { return nil }
    if parts.count == 3, parts[0] == "tenant", let group = UInt32(parts[2]) {
      self = .tenant(user: number, group: group)
      return
    }
    guard parts.count == 2 else { return nil }
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
    case .tenant(let user, let group): "tenant:\(user):\(group)"
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
    case .tenant(let user, let group):
      guard place == .directory || file.isRegular && file.links == 1 else { throw .notPlain(place) }
      guard file.user == user || place == .directory && file.user == 0 else { throw .wrongUser(place) }
      guard !file.isWritableByGroup || file.group == group else { throw .writableByGroup(place) }
    }
    guard !file.isWritableByOthers else { throw .writableByOthers(place) }
  }

  /// The line for the log about a script that may not run.
  public func message(_ failure: ScriptOwnershipFailure, processGroup: String) -> String {
    if case .tenant(let user, _) = self {
      return "WSGI0725: \(reason(failure)); process group '\(processGroup)' runs scripts of uid \(user) alone. \(remedy(failure))"
    }
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
    case .notPlain(let place): "The WSGI script\(suffix(place)) is not a regular file with a single name"
    }
  }

  private func remedy(_ failure: ScriptOwnershipFailure) -> String {
    switch failure {
    case .unreadable: "See that its user may read it."
    case .wrongUser(.script), .wrongGroup: "Give the script to that user (chown)."
    case .wrongUser(.directory): "Give the directory to that user, or to root (chown)."
    case .writableByGroup, .writableByOthers: "Take the others' permission to write to it (chmod go-w)."
    case .notPlain: "Put a copy in its place."
    }
  }

  private func suffix(_ place: ScriptOwnershipFailure.Place) -> String { place == .directory ? "'s directory" : "" }

  private func number(_ failure: ScriptOwnershipFailure) -> StaticString {
    switch (failure, isUser) {
    case (.notPlain, _): "WSGI0725"
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
