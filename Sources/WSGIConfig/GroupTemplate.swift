import WSGICore

/// The part of a WSGIDaemonTemplate that says which groups are made from it, and for whom.
public struct GroupTemplate: Sendable {
  public var key = Key.owner
  /// Processes run as the script's owner; false: as the group's `user`, as those of any group do.
  public var runsAsOwner = true
  /// Owners that it may run as.
  public var userIDs: ClosedRange<UInt32> = 1000...59_999
  /// The most groups at a time.
  public var maximumGroups = 1000
  /// Processes that may start in a second, and as many at once.
  public var startRate = 20

  /// The part of a request that makes a group.
  public enum Key: Equatable, Sendable {
    /// The name of the user who owns the script file.
    case owner
    /// The request's host.
    case host
    /// The ServerName of the virtual host.
    case server
    /// ServerName, port and script name.
    case resource
    case variable([UInt8])

    init?(_ text: ByteText) {
      switch text {
      case "%{OWNER}": self = .owner
      case "%{HOST}": self = .host
      case "%{SERVER}": self = .server
      case "%{RESOURCE}": self = .resource
      default:
        guard case .variable(let name, _)? = NameTemplate.variable(in: text), !name.isEmpty else { return nil }
        self = .variable(name)
      }
    }
  }
}
