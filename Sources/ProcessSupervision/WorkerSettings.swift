import WSGICore

/// What a worker is told on its settings descriptor: pairs, of which an engine reads those of `EngineSettings`, and the worker
/// those named here. Numbers are decimal, times are in milliseconds, flags are `1` or absent; what is absent is off, or left
/// as it is.
public struct WorkerSettings: Equatable, Sendable {
  /// The keys, beside `EngineSettings.processGroup`, `.threads` and `.service`.
  public enum Key {
    public static let version = "version"
    public static let instance = "instance"
    public static let slot = "slot"
    public static let user = "uid"
    public static let group = "gid"
    /// Numbers separated by commas, without the primary group.
    public static let supplementaryGroups = "groups"
    public static let umask = "umask"
    public static let changeRoot = "chroot"
    public static let directory = "directory"
    public static let locale = "locale"
    public static let cpuPriority = "cpu-priority"
    public static let cpuTimeLimit = "cpu-time-limit"
    public static let memoryLimit = "memory-limit"
    public static let virtualMemoryLimit = "virtual-memory-limit"
    public static let coreDumps = "core-dumps"
    public static let newPrivileges = "new-privileges"
    public static let engineDirectory = "engine-directory"
    /// `3.11`; the key may repeat.
    public static let engineVersion = "engine-version"
    public static let preferredEngine = "preferred-engine"
    public static let probe = "probe"
    public static let logLevel = "log-level"
    public static let stackSize = "stack-size"
    public static let maximumRequests = "maximum-requests"
    public static let startupTimeout = "startup-timeout"
    public static let shutdownTimeout = "shutdown-timeout"
    public static let deadlockTimeout = "deadlock-timeout"
    public static let inactivityTimeout = "inactivity-timeout"
    public static let requestTimeout = "request-timeout"
    public static let interruptTimeout = "interrupt-timeout"
    public static let gracefulTimeout = "graceful-timeout"
    public static let evictionTimeout = "eviction-timeout"
    public static let restartInterval = "restart-interval"
    public static let queueTimeout = "queue-timeout"
    public static let socketTimeout = "socket-timeout"
    /// A script to load at start, in order; the value is pairs: `script`, `application-group`.
    public static let importScript = "import"
    /// The same for the script that a candidate is started for.
    public static let candidateScript = "candidate"
    public static let script = "script"
    public static let applicationGroup = "application-group"
    public static let failure = "failure"
  }

  /// Whom the worker becomes. The groups were looked up by the httpd parent: a worker asks no name service before it has
  /// given up root.
  public struct Credentials: Equatable, Sendable {
    public var user: UInt32
    public var group: UInt32
    public var supplementaryGroups: [UInt32]

    public init(user: UInt32, group: UInt32, supplementaryGroups: [UInt32]) {
      self.user = user
      self.group = group
      self.supplementaryGroups = supplementaryGroups
    }
  }

  public struct Script: Equatable, Sendable {
    public var script: [UInt8]
    public var applicationGroup: [UInt8]
    /// A failure of its import that another process has logged; 0: there is none.
    public var failure: UInt32

    public init(script: [UInt8], applicationGroup: [UInt8], failure: UInt32 = 0) {
      self.script = script
      self.applicationGroup = applicationGroup
      self.failure = failure
    }
  }

  public var version = ControlMessage.version
  public var processGroup: [UInt8] = []
  /// Names this process among all that the group ever had.
  public var instance: UInt64 = 0
  /// Its place among the group's processes that live.
  public var slot: Int32 = 0

  // MARK: who it is
  /// nil: httpd was not started by root, and the worker stays who it is.
  public var credentials: Credentials?
  public var umask: UInt32?
  public var changeRoot: [UInt8]?
  /// Where to start; nil: `/`.
  public var directory: [UInt8]?
  /// For setlocale; LC_ALL is in the environment already.
  public var locale: [UInt8]?
  /// Of setpriority.
  public var cpuPriority: Int32 = 0
  /// Seconds.
  public var cpuTimeLimit: UInt64 = 0
  /// Bytes.
  public var memoryLimit: UInt64 = 0
  public var virtualMemoryLimit: UInt64 = 0
  /// The process may leave a core dump (CoreDumpDirectory is set), and so be inspected by its own user's processes.
  public var allowsCoreDumps = false
  /// Programs that it executes may gain privileges (set-user-ID, set-group-ID, file capabilities).
  public var allowsNewPrivileges = false

  // MARK: what it does
  /// What the process chooses its engine from, once it has the rights of its user. With `changeRoot` it is loaded before the
  /// root directory changes.
  public var engines = InstalledEngines()
  /// By which it chooses. Of the engine's settings.
  public internal(set) var python: String?
  public internal(set) var pythonHome: String?
  /// It is no worker: it answers questions about files, as `FileProbe` asks them.
  public var isProbe = false
  /// The highest level that the log of the group's server would keep.
  public var logLevel: Int32 = 4
  public var threads = 15
  /// threads=0: service scripts, on the main thread, and no requests.
  public var isService = false
  /// Interpreters may have GILs of their own, or Python none: threads then get on beside one another. Of the engine's settings.
  public internal(set) var runsInParallel = false
  /// Bytes; 0: the system's.
  public var stackSize = 0
  public var maximumRequests = 0
  public var imports: [Script] = []
  /// The worker is a candidate: it loads this before it says `ready`, and waits for `begin`.
  public var candidate: Script?

  // MARK: times in milliseconds, 0: off
  public var startupTimeout: Int64 = 0
  public var shutdownTimeout: Int64 = 5_000
  public var deadlockTimeout: Int64 = 300_000
  public var inactivityTimeout: Int64 = 0
  public var requestTimeout: Int64 = 0
  public var interruptTimeout: Int64 = 0
  public var gracefulTimeout: Int64 = 15_000
  public var evictionTimeout: Int64 = 0
  public var restartInterval: Int64 = 0
  public var queueTimeout: Int64 = 0
  /// httpd's Timeout where the group has none.
  public var socketTimeout: Int64 = 60_000

  public init() {}

  /// CPU seconds at which the kernel kills the process: after `cpuTimeLimit` it has its shutdown timeout to end.
  var hardCPULimit: UInt64 {
    let (seconds, overflows) = cpuTimeLimit.addingReportingOverflow(UInt64(clamping: shutdownTimeout) / 1_000 &+ 1)
    return overflows ? .max : seconds
  }
}
