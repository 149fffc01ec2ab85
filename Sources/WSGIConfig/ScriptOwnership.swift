/// What the system says of a file: whose it is, and who may write it.
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

/// Why a script may not run in a process group that demands an owner of it (`script-user`, `script-group`).
public enum ScriptOwnershipFailure: Error, Equatable, Sendable {
  case unreadable(Place)
  case wrongUser(Place)
  case wrongGroup(Place)
  case writableByGroup(Place)
  case writableByOthers(Place)

  public enum Place: Sendable { case script, directory }
}

extension DaemonGroup {
  /// The group lets only scripts run that `script-user` or `script-group` owns.
  public var restrictsScripts: Bool { scriptUser != nil || scriptGroup != nil }

  /// Checks a script and the directory that it is in; nil stands for what cannot be looked at.
  public func checkOwnership(script: FileOwnership?, directory: FileOwnership?) throws(ScriptOwnershipFailure) {
    if let scriptGroup {
      try check(script, .script, group: scriptGroup)
      try check(directory, .directory, group: scriptGroup)
    }
    if let scriptUser {
      try check(script, .script, user: scriptUser)
      try check(directory, .directory, user: scriptUser)
    }
  }

  private func check(
    _ file: FileOwnership?, _ place: ScriptOwnershipFailure.Place, group: UInt32
  ) throws(ScriptOwnershipFailure) {
    guard let file else { throw .unreadable(place) }
    guard file.group == group else { throw .wrongGroup(place) }
    guard !file.isWritableByOthers else { throw .writableByOthers(place) }
  }

  private func check(
    _ file: FileOwnership?, _ place: ScriptOwnershipFailure.Place, user: UInt32
  ) throws(ScriptOwnershipFailure) {
    guard let file else { throw .unreadable(place) }
    guard file.user == user else { throw .wrongUser(place) }
    guard !file.isWritableByGroup else { throw .writableByGroup(place) }
    guard !file.isWritableByOthers else { throw .writableByOthers(place) }
  }
}
