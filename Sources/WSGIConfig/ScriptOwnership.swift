import WSGICore

extension DaemonGroup {
  /// Whose scripts the group runs, where it is not everybody's.
  public var scriptOwner: ScriptOwner? { scriptUser.map { .user($0) } ?? scriptGroup.map { .group($0) } }
}
