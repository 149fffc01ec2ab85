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
    let (place, finding, numbers) = ScriptOwner.terms(failure)
    let found = finding(place == .directory ? "WSGI script's directory" : "WSGI script")
    let number = place == .directory ? 1 : 0
    switch self {
    case .tenant(let user, _):
      return "WSGI0725: \(found); process group '\(processGroup)' runs scripts of uid \(user) alone. \(remedy(failure))"
    case .group:
      return "\(numbers[number]): \(found), which script-group= of process group '\(processGroup)' forbids."
    case .user:
      return "\(numbers[number + 2]): \(found), which script-user= of process group '\(processGroup)' forbids."
    }
  }

  /// `numbers`: of the script and of its directory, for `script-group` and then for `script-user`.
  private static func terms(
    _ failure: ScriptOwnershipFailure
  ) -> (place: ScriptOwnershipFailure.Place, finding: (String) -> String, numbers: [String]) {
    switch failure {
    case .unreadable(let place):
      (place, { "Cannot determine the owner of the \($0)" }, ["WSGI0153", "WSGI0157", "WSGI0162", "WSGI0168"])
    case .wrongUser(let place):
      (place, { "The \($0) belongs to another user" }, ["WSGI0154", "WSGI0158", "WSGI0163", "WSGI0169"])
    case .wrongGroup(let place):
      (place, { "The \($0) belongs to another group" }, ["WSGI0154", "WSGI0158", "WSGI0154", "WSGI0158"])
    case .writableByGroup(let place):
      (place, { "The \($0) is writable by its group" }, ["WSGI0155", "WSGI0159", "WSGI0164", "WSGI0170"])
    case .writableByOthers(let place):
      (place, { "The \($0) is writable by everyone" }, ["WSGI0155", "WSGI0159", "WSGI0165", "WSGI0171"])
    case .notPlain(let place):
      (place, { "The \($0) is not a regular file with a single name" }, Array(repeating: "WSGI0725", count: 4))
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
}
