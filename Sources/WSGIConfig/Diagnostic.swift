/// Something in the configuration that httpd accepts and that will most likely not do what was meant.
public struct Diagnostic: Equatable, Sendable, CustomStringConvertible {
  /// Of the log line, `WSGI0300` and on.
  public let number: Int
  public let message: String
  /// The server whose log it belongs to.
  public let server: UInt
  /// It may well be what was meant: worth a line of level info.
  public var isRemark = false

  /// The line as the log has it.
  public var description: String { "WSGI0\(number): \(message)" }
}

/// System functions that diagnostics need, injected so that this room stays pure.
public struct SystemFacts {
  /// A file, its symbolic links followed.
  public enum File: Equatable, Sendable {
    case missing
    /// The system would not say, or an access control list makes the permission bits half the truth.
    case unknown
    case found(isDirectory: Bool, mode: UInt32, uid: UInt32, gid: UInt32)
  }

  /// What files are is asked for those who are to use them; nil: for nobody in particular.
  public var file: (ByteText, FileCredentials?) -> File
  /// The content of a small text file; nil where it cannot be read.
  public var content: (ByteText, FileCredentials?) -> [UInt8]?
  /// All groups of a user, as the system would give them to a process of the user.
  public var groups: (UserRecord) -> [UInt32]
  /// newlocale knows it.
  public var hasLocale: (ByteText) -> Bool
  /// A wsgi-engine of that version ("3.11") is installed.
  public var hasEngine: (String) -> Bool
  /// Why daemon processes cannot be executed, as a sentence without its end.
  public var workerProblem: String?
  /// There is no engine at all: where it was looked for.
  public var missingEngines: String?
  /// httpd's `User` and `Group`.
  public var user: UserRecord?
  public var group: UInt32?
  public var mpm: String
  /// The MPM's limit of processes (AP_MPMQ_MAX_DAEMONS).
  public var processLimit: Int

  public init(
    file: @escaping (ByteText, FileCredentials?) -> File, content: @escaping (ByteText, FileCredentials?) -> [UInt8]?,
    groups: @escaping (UserRecord) -> [UInt32], hasLocale: @escaping (ByteText) -> Bool,
    hasEngine: @escaping (String) -> Bool, user: UserRecord?, group: UInt32?, mpm: String, processLimit: Int,
    workerProblem: String? = nil, missingEngines: String? = nil
  ) {
    self.file = file
    self.content = content
    self.groups = groups
    self.hasLocale = hasLocale
    self.hasEngine = hasEngine
    self.user = user
    self.group = group
    self.mpm = mpm
    self.processLimit = processLimit
    self.workerProblem = workerProblem
    self.missingEngines = missingEngines
  }
}

/// Looks a configuration over. One use: `Diagnostics(configuration, system).run()`.
public struct Diagnostics {
  let configuration: Configuration
  let system: SystemFacts
  private(set) var found: [Diagnostic] = []

  public init(_ configuration: Configuration, _ system: SystemFacts) {
    self.configuration = configuration
    self.system = system
  }

  /// All warnings; none for a configuration that has nothing odd about it.
  public mutating func run() -> [Diagnostic] {
    checkAliases()
    checkGroups()
    checkScripts()
    checkPython()
    checkServers()
    return found
  }

  var global: GlobalConfig { configuration.global }

  mutating func warn(_ number: Int, server: UInt = 0, isRemark: Bool = false, _ message: String) {
    let diagnostic = Diagnostic(number: number, message: message, server: server, isRemark: isRemark)
    // The same path in two places is one fact.
    if !found.contains(diagnostic) { found.append(diagnostic) }
  }
}
