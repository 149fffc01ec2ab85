/// What is configured once for the whole server; only the main server may say it, and all process groups belong to it.
public struct GlobalConfig: Sendable {
  // MARK: Python in general
  public var dontWriteBytecode: Bool?
  /// `-W` filters, in order.
  public var pythonWarnings: [ByteText] = []
  public var pythonOptimize: Int?
  public var pythonHome: ByteText?
  public var pythonHomeLocation: ConfigLocation?
  public var pythonEggs: ByteText?
  public var pythonHashSeed: HashSeed?
  public var destroyInterpreter: Bool?
  public var caseSensitivity: Bool?
  /// What `<WSGIInterpreterOptions>` can also say, as it stands outside any block.
  public var interpreter = InterpreterSettings()
  public var pythonPathLocation: ConfigLocation?
  public var interpreterOptions: [InterpreterOptions] = []
  /// The block that is being read.
  var openBlock: InterpreterOptions?

  // MARK: embedded mode
  public var restrictEmbedded: Bool?
  /// A script that only httpd children can run is configured: they need Python whatever `restrictEmbedded` says.
  public var childrenNeedPython = false
  public var serverMetrics: Bool?

  // MARK: telemetry
  public var telemetry: TelemetryService?
  public var telemetryOptions = TelemetryOptions()
  /// Seconds; 0 or nil: none are reported.
  public var slowRequests: Double?

  // MARK: process groups
  /// In the order of their declaration.
  public var groups: [DaemonGroup] = []
  public var imports: [ImportScript] = []
  /// Where a WSGIProcessGroup stands, for diagnostics and for `%{AUTO}`.
  public var references: [GroupReference] = []
  /// The fixed names of WSGIApplicationGroup, wherever it stands.
  public var applicationGroups: [[UInt8]] = []
  /// How many interpreters of a process may have names that come from requests; nil: 128.
  public var maximumInterpreters: Int?
  /// The scripts of directory sections, which are looked at only by diagnostics; each request finds its own.
  public var serviceScripts: [ServiceScript] = []
  public var handlerScripts: [HandlerScript] = []

  /// Lines for the log, to be written when the configuration is put to use.
  public var notices: [ConfigNotice] = []

  public init() {}

  /// A script may send any request to any group.
  var hasDispatchScript: Bool { serviceScripts.contains { $0.kind == ScriptKind.dispatch.name } }

  /// The place of a process group in `groups`.
  public func groupIndex(named name: [UInt8]) -> Int? { groups.firstIndex { $0.name.bytes == name } }
}

public enum HashSeed: Equatable, Sendable {
  case random
  case fixed(UInt32)
}

public struct TelemetryService: Equatable, Sendable {
  /// A socket's path.
  public let target: ByteText
  /// Seconds.
  public let interval: Double
}

public struct TelemetryOptions: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static let captureUserAgent = TelemetryOptions(rawValue: 1)
  public static let all: TelemetryOptions = [.captureUserAgent]
}

/// A WSGIProcessGroup as it was written, or a `process-group=` of WSGIHandlerScript.
public struct GroupReference: Equatable, Sendable {
  public let name: NameTemplate
  public let server: UInt
  /// The path of the section it stands in; nil at server level.
  public let path: ByteText?
  public let location: ConfigLocation
}
