import WSGICore

/// Exit codes of a worker that could not start, and of one that was made to end. An application can exit with any code, so the
/// supervisor believes the first kind only of a worker that was never ready.
public enum WorkerExit: Int32, CaseIterable, Sendable {
  case settings = 64
  case version = 65
  case changeRoot = 66
  case setGroup = 67
  case setGroups = 68
  case setUser = 69
  case verification = 70
  case capabilities = 71
  case privileges = 72
  case directory = 73
  case engineMissing = 74
  case engineUnusable = 75
  case python = 76
  case threads = 77
  case startupTimeout = 78
  /// A preloader has threads, or a Python that cannot be forked.
  case notForkable = 79
  /// A script does not load in a preloader.
  case scriptFailed = 80
  /// The shutdown timeout passed: the worker ended itself without finishing.
  case shutdownTimeout = 255

  /// The number of the log line that reports it.
  public var logNumber: StaticString {
    switch self {
    case .changeRoot: "WSGI0003"
    case .setGroup: "WSGI0004"
    case .setGroups: "WSGI0005"
    case .setUser: "WSGI0007"
    case .directory: "WSGI0009"
    case .python: "WSGI0028"
    case .threads: "WSGI0022"
    case .startupTimeout: "WSGI0412"
    case .notForkable: "WSGI0711"
    case .scriptFailed: "WSGI0716"
    case .settings, .version, .verification, .capabilities, .privileges, .shutdownTimeout: "WSGI0456"
    case .engineMissing, .engineUnusable: "WSGI0457"
    }
  }

  /// The failure, to follow "the process".
  public var sentence: String {
    switch self {
    case .settings: "could not read its settings"
    case .version: "differs in version from the running module; restart httpd"
    case .changeRoot: "could not change its root directory"
    case .setGroup: "could not set its group id"
    case .setGroups: "could not set its supplementary groups"
    case .setUser: "could not set its user id"
    case .verification: "did not get the user, group and supplementary groups it requested"
    case .capabilities: "could not drop its capabilities"
    case .privileges: "could not set no_new_privs"
    case .directory: "could not change to any working directory"
    case .engineMissing: "found no engine for its Python"
    case .engineUnusable: "could not use the engine for its Python"
    case .python: "could not initialise Python"
    case .threads: "could not start its threads"
    case .startupTimeout: "did not load its script within startup-timeout"
    case .notForkable: "cannot be forked"
    case .scriptFailed: "could not load a script"
    case .shutdownTimeout: "was still busy after shutdown-timeout"
    }
  }
}
