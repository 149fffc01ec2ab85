/// A WSGIDaemonProcess: a process group. Optional values are those that something else decides where they are not given.
public struct DaemonGroup: Sendable {
  public var name: ByteText
  /// The server that declared it; `id` 0 makes it everybody's.
  public var server: ServerIdentity
  public var location: ConfigLocation

  // MARK: who it runs as, and where
  /// nil: httpd's `User`.
  public var user: UserRecord?
  /// nil: httpd's `Group`.
  public var group: UInt32?
  /// nil: what the password database says of the user. The primary group is always added in front.
  public var supplementaryGroups: [UInt32]?
  public var umask: UInt32?
  public var chroot: ByteText?
  public var home: ByteText?
  /// Its processes get of httpd's environment only what every program needs, and `passedVariables`.
  public var hasCleanEnvironment = false
  public var passedVariables: [ByteText] = []
  public var lang: ByteText?
  public var locale: ByteText?
  public var displayName: ByteText?
  public var scriptUser: UInt32?
  public var scriptGroup: UInt32?

  // MARK: Python
  public var pythonHome: ByteText?
  /// The interpreter whose version decides the engine; nil: that of `pythonHome`, else the module's own.
  public var python: ByteText?
  public var pythonPath: ByteText?
  public var pythonEggs: ByteText?
  /// Seconds.
  public var switchInterval: Double?

  // MARK: processes and threads
  public var processes = 1
  /// `processes` was given, be it as 1: `wsgi.multiprocess` is true.
  public var isMultiprocess = false
  /// 0: the group runs service scripts and no requests.
  public var threads = 15
  public var stackSize: Int?
  public var reload = ReloadPolicy.restart
  /// How many requests may run and wait together; nil: an eighth of httpd's threads always stays free for others.
  public var queueLimit: Int?
  public var listenBacklog = 100

  // MARK: times
  public var startupTimeout: Milliseconds = 0
  /// 0: a stop is never forced.
  public var shutdownTimeout: Milliseconds = 5_000
  public var deadlockTimeout: Milliseconds = 300_000
  public var inactivityTimeout: Milliseconds = 0
  public var requestTimeout: Milliseconds = 0
  public var interruptTimeout: Milliseconds = 0
  public var gracefulTimeout: Milliseconds = 15_000
  /// Above 0 it makes SIGUSR1 an eviction.
  public var evictionTimeout: Milliseconds = 0
  public var restartInterval: Milliseconds = 0
  /// 0: a single try.
  public var connectTimeout: Milliseconds = 15_000
  /// 0: httpd's `Timeout`.
  public var socketTimeout: Milliseconds = 0
  public var queueTimeout: Milliseconds = 0
  /// 0: as `socketTimeout`; both 0: the client connection's timeout is left alone.
  public var responseSocketTimeout: Milliseconds = 0
  public var responseFlushDelay: Milliseconds = 5

  // MARK: sizes and limits
  public var maximumRequests = 0
  /// Bytes of a response that a process may be ahead of httpd, and of a request body that httpd may be ahead of it; 0: the
  /// system's.
  public var sendBufferSize = 0
  public var receiveBufferSize = 0
  /// Bytes that all headers of a response may hold; nil: `headerLineSize` for each.
  public var headerBufferSize: Int?
  public static let headerLineSize = 32_768
  /// Bytes after which the client gets what is there.
  public var responseBufferSize = 8_388_608
  /// CPU seconds.
  public var cpuTimeLimit = 0
  /// Of setpriority; 0: unchanged.
  public var cpuPriority = 0
  /// Bytes.
  public var memoryLimit = 0
  public var virtualMemoryLimit = 0
  public var serverMetrics = false
  /// Programs that the application runs may gain privileges by set-user-ID, set-group-ID or file capabilities.
  public var allowsNewPrivileges = false

  public init(name: ByteText, server: ServerIdentity = .main, location: ConfigLocation) {
    self.name = name
    self.server = server
    self.location = location
  }
}

/// What a changed script does to its process group.
public enum ReloadPolicy: Equatable, Sendable {
  /// A process that sees the change ends, whether or not the new code loads.
  case restart
  /// Processes with the old code serve until one with the new code has loaded it.
  case rolling
}
