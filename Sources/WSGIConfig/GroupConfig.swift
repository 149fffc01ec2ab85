import WSGICore

/// A WSGIDaemonProcess, which is a process group, or a WSGIDaemonTemplate, of which groups are made. Optional values are those
/// that something else decides where they are not given.
public struct GroupConfig: Sendable {
  /// The server that declared it; `id` 0 makes it everybody's.
  public var server: ServerIdentity
  public var location: ConfigLocation
  /// Settings of the group's processes. Its options are rows of `WorkerSettings` and `EngineSettings`.
  public var settings = WorkerSettings()

  /// nil: it is a group.
  public var template: GroupTemplate?

  // MARK: who it runs as, and where
  /// nil: httpd's `User`.
  public var user: UserRecord?
  /// nil: httpd's `Group`.
  public var group: UInt32?
  /// nil: what the password database says of the user. The primary group is always added in front.
  public var supplementaryGroups: [UInt32]?
  /// Its processes get of httpd's environment only what every program needs, and `passedVariables`.
  public var hasCleanEnvironment = false
  public var passedVariables: [ByteText] = []
  public var lang: ByteText?
  public var displayName: ByteText?

  /// Files of its control group and what is written to them, in order.
  public var controlGroupValues: [(file: ByteText, value: ByteText)] = []

  // MARK: how many processes
  /// The fewest that run; nil: always as many as `worker.processes`.
  public var minimumProcesses: Int?
  /// Processes are forks of one that has imported the scripts of the main interpreter.
  public var preloads = false
  /// How long a process beyond those has nothing to do before it ends; 0: it stays.
  public var idleTimeout: Milliseconds = 60_000

  // MARK: sessions
  public var stickyCookie: ByteText?
  public var stickyHeader: ByteText?
  /// How long a process may take to take a request of one of its sessions.
  public var stickyWait: Milliseconds = GroupConfig.standardStickyWait
  static let standardStickyWait: Milliseconds = 1_000

  // MARK: requests
  public var reload = ReloadPolicy.restart
  /// How many requests may run and wait together; nil: an eighth of httpd's threads always stays free for others.
  public var queueLimit: Int?
  public var listenBacklog = 100
  /// Bytes of a request body that httpd receives before a process is asked for the request; 0: none.
  public var requestSpool = 65_536
  /// Bytes of a response that httpd keeps for a client that does not keep up with it; 0: none.
  public var responseSpool = 1_048_576
  public var spoolLimit = 268_435_456
  /// 0: as `socketTimeout`; both 0: the client connection's timeout is left alone.
  public var responseSocketTimeout: Milliseconds = 0
  public var responseFlushDelay: Milliseconds = 5
  /// Bytes of a response that a process may be ahead of httpd, and of a request body that httpd may be ahead of it; 0: the
  /// system's.
  public var sendBufferSize = 0
  public var receiveBufferSize = 0
  /// Bytes that all headers of a response may hold; nil: `headerLineSize` for each.
  public var headerBufferSize: Int?
  public static let headerLineSize = 32_768
  /// Bytes after which the client gets what is there.
  public var responseBufferSize = 8_388_608

  public init(name: ByteText, server: ServerIdentity = .main, location: ConfigLocation) {
    self.server = server
    self.location = location
    settings.processGroup = name.bytes
  }

  public var name: ByteText { ByteText(settings.engine.processGroup) }
  /// Its name and where it stands, for messages.
  var title: String { "process group '\(name)' (\(location))" }

  /// How many requests httpd may have in flight for the group: queue-limit, or where that is not given all but an eighth of its
  /// threads, which stays free for others.
  public func inFlightLimit(httpdThreads: Int) -> Int {
    queueLimit ?? max(1, httpdThreads &- max(1, httpdThreads / 8))
  }

  /// How many processes may hand a request back before it is given up: each of the group twice, and one more.
  public var attempts: Int { settings.processes &* 2 &+ 1 }
}

/// How a process group reacts to a changed script.
public enum ReloadPolicy: Equatable, Sendable {
  /// A process that sees the change ends, whether or not the new code loads.
  case restart
  /// Processes with the old code serve until one with the new code has loaded it.
  case rolling
  /// The application's interpreter is replaced, where that is possible; else as `rolling`.
  case interpreter
}

extension DaemonProcessOption {
  /// Options that concern httpd's side of a process group.
  static let requests: [DaemonProcessOption] = [
    .text("lang") { $0.lang = $1 },
    .text("display-name") { $0.displayName = $1 },
    .number("queue-limit", "queue limit", default: "7/8 of MaxRequestWorkers", 1...Int(Int32.max), isAddition: true) {
      $0.queueLimit = $1
    },
    .number("listen-backlog", "listen backlog", default: "100", 0...Int(Int32.max)) { $0.listenBacklog = $1 },
    .size("request-spool", "request spool", default: "64K", isAddition: true) { $0.requestSpool = $1 },
    .size("response-spool", "response spool", default: "1M", isAddition: true) { $0.responseSpool = $1 },
    .size("spool-limit", "spool limit", default: "256M", isAddition: true) { $0.spoolLimit = $1 },
    .time("response-socket-timeout", "response socket timeout", default: "socket-timeout") { $0.responseSocketTimeout = $1 },
    .time("response-flush-delay", "response flush delay", default: "5ms", plainUnit: 1) { $0.responseFlushDelay = $1 },
    .buffer("send-buffer-size", "send buffer size", default: "0", minimum: 512, of: "system default") {
      $0.sendBufferSize = $1 ?? 0
    },
    .buffer("receive-buffer-size", "receive buffer size", default: "0", minimum: 512, of: "system default") {
      $0.receiveBufferSize = $1 ?? 0
    },
    .buffer("header-buffer-size", "header buffer size", default: "32K a header", minimum: 8_192) {
      $0.headerBufferSize = $1
    },
    .buffer("response-buffer-size", "response buffer size", default: "8M", minimum: 65_536) {
      $0.responseBufferSize = $1 ?? 8_388_608
    },
  ]
}
