import WSGICore

/// Settings of the whole server; only the main server may set them, and all process groups belong to it.
public struct GlobalConfig: Sendable {
  /// Settings that are the same for all engines; most directives set one of them.
  public var engine = EngineSettings()
  public var pythonHomeLocation: ConfigLocation?
  public var pythonPathLocation: ConfigLocation?
  public var caseSensitivity: Bool?
  /// The block that is being read.
  var openBlock: InterpreterOptions?

  // MARK: embedded mode
  public var restrictEmbedded: Bool?
  /// A script that only httpd children can run is configured: they need Python whatever `restrictEmbedded` says.
  public var childrenNeedPython = false

  // MARK: process groups
  /// Where commands are taken (`WSGIControlSocket`).
  public var controlSocket = ControlSocket.usual
  /// In the order of their declaration.
  public var groups: [GroupConfig] = []
  /// The most bytes in files that hold request bodies and responses of all of them; 0: no limit.
  public var spoolLimit = 1 << 30
  public var imports: [ImportScript] = []
  /// Where a WSGIProcessGroup stands, for diagnostics and for `%{AUTO}`.
  public var references: [GroupReference] = []
  /// The fixed names of WSGIApplicationGroup, wherever it stands.
  public var applicationGroups: [[UInt8]] = []
  /// Some WSGIApplicationGroup names the main interpreter, or may.
  public var usesMainInterpreter = false
  /// The scripts of directory sections, which are looked at only by diagnostics; each request finds its own.
  public var serviceScripts: [ServiceScript] = []
  public var handlerScripts: [HandlerScript] = []

  /// Lines for the log, to be written when the configuration is put to use.
  public var notices: [(level: LogLevel, message: String)] = []

  public init() {}

  /// A script may send any request to any group.
  var hasDispatchScript: Bool { serviceScripts.contains { $0.kind == ScriptKind.dispatch.name } }

  /// The place of a process group in `groups`.
  public func groupIndex(named name: [UInt8]) -> Int? { groups.firstIndex { $0.name.bytes == name } }
}

public enum ControlSocket: Equatable, Sendable {
  /// In httpd's runtime directory.
  case usual
  /// Relative to that directory unless absolute.
  case path(ByteText)
  case off
}

/// A WSGIProcessGroup as it was written, or a `process-group=` of WSGIHandlerScript.
public struct GroupReference: Equatable, Sendable {
  public let name: NameTemplate
  public let server: UInt
  /// The path of the section it stands in; nil at server level.
  public let path: ByteText?
  public let location: ConfigLocation
}
