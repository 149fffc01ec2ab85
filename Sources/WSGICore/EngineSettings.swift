/// The settings of an engine, given to it when it starts (`wsgi_engine.start`). The httpd side writes them; a worker, whose own
/// settings contain them, passes on the pairs unchanged.
public struct EngineSettings: SettingsTable {
  public init() {}

  // MARK: which process it is
  /// Empty in an httpd child.
  public var processGroup: [UInt8] = []
  public var processes = 1
  /// 0: a daemon for service scripts, which run on the main thread, where signals are theirs.
  public var threads = 15
  /// Other processes run the same application.
  public var isMultiprocess = false
  /// The httpd parent runs this process itself (`-X`): stdin and stdout are left alone.
  public var isSingleProcess = false
  /// The process serves nothing: it is forked for each process that does.
  public var isPreloader = false
  /// Daemon only: inserted at sys.path[0].
  public var home: [UInt8]?
  /// Daemon only: the passwd name and home directory of the user the process runs as.
  public var userName: [UInt8]?
  public var userHome: [UInt8]?
  /// Daemon only, in milliseconds: how long a request may wait for a script that another thread is loading.
  public var connectTimeout: Int64 = 15_000
  /// In milliseconds: how long requests may go on in a process that is replaced, and threads in an interpreter that is.
  public var gracefulTimeout: Int64 = 15_000
  /// Whose scripts the process runs; nil: everybody's.
  public var scriptOwner: ScriptOwner?
  /// Applications can read httpd's scoreboard.
  public var serverMetrics = false
  /// `2.4.62`
  public var apacheVersion = ""
  public var apacheDescription: [UInt8] = []
  public var apacheBuilt: [UInt8] = []
  public var mpmName: [UInt8] = []
  public var mpmProcesses = 1
  public var mpmThreads = 1

  // MARK: Python
  /// The interpreter whose Python it is; nil: that of the Python home.
  public var python: [UInt8]?
  /// Directory of the Python installation or virtual environment; nil: the interpreter's, or the engine's own.
  public var pythonHome: [UInt8]?
  public var pythonEggs: [UInt8]?
  public var hashSeed: HashSeed?
  public var optimize = 0
  public var dontWriteBytecode = false
  /// `-W` filters.
  public var warnings: [[UInt8]] = []
  public var destroysInterpreters = true

  // MARK: interpreters
  /// For all interpreters; the blocks can say otherwise for some.
  public var interpreter = InterpreterSettings()
  /// The blocks that can apply to this process, in file order.
  public var interpreterOptions: [InterpreterOptions] = []
  /// How many interpreters may have names that come from requests.
  public var maximumInterpreters = 128
  /// How many interpreters of an application group may live at a time while it is reloaded.
  public var reloadGenerations = 3

  // MARK: telemetry
  /// A socket's path.
  public var telemetryTarget: [UInt8]?
  /// Seconds.
  public var telemetryInterval = 1.0
  public var telemetryOptions = TelemetryOptions()
  /// Seconds from which a request is slow; 0: none is reported.
  public var slowRequests = 0.0

  public static let rows = own + shared

  /// Settings of each process group.
  private static let own: [Setting<EngineSettings>] = [
    Setting("process-group", \.processGroup),
    Setting("processes", \.processes),
    Setting("threads", \.threads, OptionForm(.number(0...65_533), "thread count")),
    Setting("multiprocess", \.isMultiprocess),
    Setting("single-process", \.isSingleProcess),
    Setting("preloader", \.isPreloader),
    Setting("home", \.home, OptionForm(.path, "home directory", default: "of the user")),
    Setting("user-name", \.userName),
    Setting("user-home", \.userHome),
    Setting("connect-timeout", \.connectTimeout, OptionForm(.time, "connect timeout")),
    Setting("graceful-timeout", \.gracefulTimeout, OptionForm(.time, "graceful timeout")),
    Setting("script-owner", \.scriptOwner),
    Setting("server-metrics", \.serverMetrics, OptionForm(.flag, "server metrics flag")),
    Setting("apache-version", \.apacheVersion),
    Setting("apache-description", \.apacheDescription),
    Setting("apache-built", \.apacheBuilt),
    Setting("mpm-name", \.mpmName),
    Setting("mpm-processes", \.mpmProcesses),
    Setting("mpm-threads", \.mpmThreads),
    Setting("python", \.python, OptionForm(.path, "Python", default: "of python-home", isAddition: true)),
    Setting("python-home", \.pythonHome, OptionForm(.text, default: "WSGIPythonHome")),
    Setting("python-eggs", \.pythonEggs, OptionForm(.text)),
    InterpreterSettings.path.within(\.interpreter),
  ]

  /// Settings that directives make for all processes, unless a group has its own.
  private static let shared: [Setting<EngineSettings>] =
    [
      Setting("hash-seed", \.hashSeed),
      Setting("optimize", \.optimize),
      Setting("dont-write-bytecode", \.dontWriteBytecode),
      .list("warning", \.warnings),
      Setting("destroy-interpreter", \.destroysInterpreters),
      .list("interpreter-options", \.interpreterOptions),
      Setting("maximum-interpreters", \.maximumInterpreters),
      Setting("reload-generations", \.reloadGenerations),
      Setting("telemetry-target", \.telemetryTarget),
      Setting("telemetry-interval", \.telemetryInterval),
      Setting("telemetry-options", \.telemetryOptions),
      Setting("slow-requests", \.slowRequests),
    ] + InterpreterSettings.shared.map { $0.within(\.interpreter) }

  /// Takes over what directives say for all processes, where the process group does not say otherwise.
  public mutating func inherit(_ server: EngineSettings) {
    for row in EngineSettings.shared { row.inherit(&self, server) }
  }

  /// Keeps the process from reporting anything.
  public mutating func removeTelemetry() {
    telemetryTarget = nil
    telemetryOptions = []
    slowRequests = 0
  }

  /// The process is a daemon process.
  @inlinable public var isDaemon: Bool { !processGroup.isEmpty }
  public var isService: Bool { threads == 0 }

  /// Interpreters may have GILs of their own, or Python none: threads then get on beside one another.
  public var runsInParallel: Bool {
    ([interpreter] + interpreterOptions.map(\.settings)).contains { $0.perInterpreterGIL == true || $0.freeThreading == true }
  }
}
