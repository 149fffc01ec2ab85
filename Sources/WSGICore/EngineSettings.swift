/// The keys of the settings that an engine is started with (`wsgi_engine.start`), encoded as pairs. Values are text; flags are
/// `1` or absent; numbers are decimal. The httpd side writes them, a worker passes them on as they are.
public enum EngineSettings {
  /// Process group name; empty in an httpd child.
  public static let processGroup = "process-group"
  /// The interpreter whose Python it is; absent: that of the Python home.
  public static let python = "python"
  /// Directory of the Python installation or virtual environment; absent: the interpreter's, or the engine's own.
  public static let pythonHome = "python-home"
  /// Directories for site.addsitedir, separated by `:`.
  public static let pythonPath = "python-path"
  public static let pythonEggs = "python-eggs"
  public static let hashSeed = "hash-seed"  // `random`, or a number
  public static let optimize = "optimize"
  public static let dontWriteBytecode = "dont-write-bytecode"
  /// One `-W` filter; the key may repeat.
  public static let warning = "warning"
  public static let switchInterval = "switch-interval"
  public static let destroyInterpreter = "destroy-interpreter"  // `0`: do not
  public static let restrictStdin = "restrict-stdin"
  public static let restrictStdout = "restrict-stdout"
  public static let restrictSignal = "restrict-signal"  // `0`: do not
  public static let perInterpreterGIL = "per-interpreter-gil"
  public static let freeThreading = "free-threading"
  public static let caseInsensitive = "case-insensitive"
  /// One `<WSGIInterpreterOptions>` block that can apply to this process group, in file order; the value is itself pairs:
  /// `application-group` (optional), `process-group` (optional), and the scoped settings under their keys above.
  public static let interpreterOptions = "interpreter-options"
  /// How many interpreters may have names that come from requests; absent: 128.
  public static let maximumInterpreters = "maximum-interpreters"
  public static let processes = "processes"
  public static let threads = "threads"
  public static let multithread = "multithread"
  public static let multiprocess = "multiprocess"
  /// Daemon only: inserted at sys.path[0].
  public static let home = "home"
  /// Daemon only: the passwd name and home directory of the user the process runs as.
  public static let userName = "user-name"
  public static let userHome = "user-home"
  /// A daemon with threads=0: service scripts run on the main thread, signals are theirs.
  public static let service = "service"
  /// Daemon only, in milliseconds: that a request may wait for a script which somebody else is loading.
  public static let connectTimeout = "connect-timeout"
  /// Whose scripts the process runs (`ScriptOwner.text`); absent: everybody's.
  public static let scriptOwner = "script-owner"
  public static let serverMetrics = "server-metrics"
  public static let apacheVersion = "apache-version"  // `2.4.62`
  public static let apacheDescription = "apache-description"
  public static let apacheBuilt = "apache-built"
  public static let mpmName = "mpm-name"
  public static let mpmProcesses = "mpm-processes"
  public static let mpmThreads = "mpm-threads"
  /// The httpd parent runs this process itself (`-X`): stdin and stdout are left alone.
  public static let singleProcess = "single-process"
  public static let telemetryTarget = "telemetry-target"
  public static let telemetryInterval = "telemetry-interval"
  public static let telemetryOptions = "telemetry-options"
  public static let slowRequests = "slow-requests"
}
