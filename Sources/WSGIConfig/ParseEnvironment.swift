/// A configuration value by reference, which httpd keeps a pointer to. Directives fill it in while the configuration is read (for
/// an `.htaccess` file: on the thread of its request); afterwards it is constant.
public final class Box<Value> {
  public var value: Value
  public init(_ value: Value) { self.value = value }
}

/// A user of the system, as the password database knows it.
public struct UserRecord: Equatable, Sendable {
  public let name: ByteText
  public let uid: UInt32
  public let gid: UInt32
  public let home: ByteText

  public init(name: ByteText, uid: UInt32, gid: UInt32, home: ByteText) {
    self.name = name
    self.uid = uid
    self.gid = gid
    self.home = home
  }
}

/// A regular expression that the httpd side compiled and keeps; never 0.
public typealias RegexHandle = UInt

/// System functions that reading a directive needs, injected so that this room stays pure.
public struct ParseEnvironment {
  /// The process has an effective uid of 0.
  public var isRoot = false
  public var userNamed: (ByteText) -> UserRecord? = { _ in nil }
  public var userWithID: (UInt32) -> UserRecord? = { _ in nil }
  public var groupNamed: (ByteText) -> UInt32? = { _ in nil }
  public var hasGroupWithID: (UInt32) -> Bool = { _ in true }
  /// Compiles an extended regular expression (ap_pregcomp); nil: it is not one.
  public var compileRegex: (ByteText) -> RegexHandle? = { _ in nil }
  /// The most supplementary groups that a process may have.
  public var supplementaryGroupLimit = 65536

  public init() {}
}

/// A server_rec: which one, and what it is called at this point.
public struct ServerIdentity: Hashable, Sendable {
  /// Unique among the servers of one configuration; 0 is the main server.
  public var id: UInt
  /// `server_hostname`; nil where no ServerName has been given (yet).
  public var name: ByteText?
  public var isVirtual: Bool { id != 0 }

  public init(id: UInt, name: ByteText?) {
    self.id = id
    self.name = name
  }

  public static let main = ServerIdentity(id: 0, name: nil)
}
