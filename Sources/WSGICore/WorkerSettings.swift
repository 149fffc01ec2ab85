/// The settings of a worker, sent on its settings descriptor: those of its engine, and those of the process. A WSGIDaemonProcess
/// contains them; httpd's parent and the supervisor fill in the rest.
///
/// A new option of WSGIDaemonProcess for the worker is a property and its row here; the code that uses it reads the property.
@dynamicMemberLookup
public struct WorkerSettings: SettingsTable {
  public init() {}

  public var engine = EngineSettings()

  public subscript<Value>(dynamicMember path: WritableKeyPath<EngineSettings, Value>) -> Value {
    get { engine[keyPath: path] }
    set { engine[keyPath: path] = newValue }
  }
  public subscript<Value>(dynamicMember path: KeyPath<EngineSettings, Value>) -> Value { engine[keyPath: path] }

  /// 0: not said, which no worker takes.
  public var version: UInt32 = 0
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
  /// The directory of the control group that it joins.
  public var controlGroup: [UInt8]?
  /// Of setpriority; 0: unchanged.
  public var cpuPriority: Int32 = 0
  /// Seconds.
  public var cpuTimeLimit: UInt64 = 0
  /// Bytes.
  public var memoryLimit: UInt64 = 0
  public var virtualMemoryLimit: UInt64 = 0
  /// Processes and threads of the user, as RLIMIT_NPROC counts them; 0: no limit.
  public var processLimit = 0
  /// The process may leave a core dump (CoreDumpDirectory is set), and so be inspected by its own user's processes.
  public var allowsCoreDumps = false
  /// Programs that it executes may gain privileges (set-user-ID, set-group-ID, file capabilities).
  public var allowsNewPrivileges = false

  // MARK: what it does
  /// The engines among which the process chooses, once it has the rights of its user. With `changeRoot` it is loaded before the
  /// root directory changes.
  public var engines = InstalledEngines()
  /// It is not a worker: it answers the questions of a `FileProbe`.
  public var isProbe = false
  /// The highest level that the log of the group's server would keep.
  public var logLevel = LogLevel.warning
  /// Bytes; 0: the system's.
  public var stackSize = 0
  public var maximumRequests = 0
  /// Bytes of resident memory above which the process is replaced; 0: never.
  public var memoryRecycle: UInt64 = 0
  /// Scripts to load at start, in order.
  public var imports: [Script] = []
  /// The worker is a candidate: it loads this before it says `ready`, and waits for `begin`.
  public var candidate: Script?

  // MARK: times in milliseconds, 0: off
  public var startupTimeout: Int64 = 0
  /// 0: a stop is never forced.
  public var shutdownTimeout: Int64 = 5_000
  public var deadlockTimeout: Int64 = 300_000
  public var inactivityTimeout: Int64 = 0
  public var requestTimeout: Int64 = 0
  public var interruptTimeout: Int64 = 0
  /// Above 0 it makes SIGUSR1 an eviction.
  public var evictionTimeout: Int64 = 0
  public var restartInterval: Int64 = 0
  public var queueTimeout: Int64 = 0
  /// httpd's Timeout where the group has none.
  public var socketTimeout: Int64 = 0

  public static let rows: [Setting<WorkerSettings>] =
    EngineSettings.rows.map { $0.within(\.engine) } + [
      Setting("version", \.version),
      Setting("instance", \.instance),
      Setting("slot", \.slot),
      Setting("credentials", \.credentials),
      Setting("umask", \.umask),
      Setting("chroot", \.changeRoot),
      Setting("directory", \.directory),
      Setting("locale", \.locale, OptionForm(.text)),
      Setting("cgroup", \.controlGroup),
      Setting("cpu-priority", \.cpuPriority, OptionForm(.number(Int(Int32.min)...Int(Int32.max)), "CPU priority")),
      Setting("cpu-time-limit", \.cpuTimeLimit),
      Setting("memory-limit", \.memoryLimit, OptionForm(.size(minimum: 0), "memory limit")),
      Setting("virtual-memory-limit", \.virtualMemoryLimit, OptionForm(.size(minimum: 0), "virtual memory limit")),
      Setting("process-limit", \.processLimit, OptionForm(.number(0...Int(Int32.max)), "process limit", isAddition: true)),
      Setting("core-dumps", \.allowsCoreDumps),
      Setting("new-privileges", \.allowsNewPrivileges, OptionForm(.flag, "new privileges flag", isAddition: true)),
      Setting("engine-directory", \.engines.directory),
      .list("engine-version", \.engines.versions),
      Setting("preferred-engine", \.engines.preferred),
      Setting("probe", \.isProbe),
      Setting("log-level", \.logLevel),
      Setting("stack-size", \.stackSize, OptionForm(.size(minimum: 1), "stack size", default: "of the system")),
      Setting("maximum-requests", \.maximumRequests, OptionForm(.number(0...Int.max), "request count")),
      Setting("memory-recycle", \.memoryRecycle, OptionForm(.size(minimum: 0), "memory recycling size", isAddition: true)),
      .list("import", \.imports),
      Setting("candidate", \.candidate),
      Setting("startup-timeout", \.startupTimeout, OptionForm(.time, "startup timeout")),
      Setting("shutdown-timeout", \.shutdownTimeout, OptionForm(.time, "shutdown timeout")),
      Setting("deadlock-timeout", \.deadlockTimeout, OptionForm(.time, "deadlock timeout")),
      Setting("inactivity-timeout", \.inactivityTimeout, OptionForm(.time, "inactivity timeout")),
      Setting("request-timeout", \.requestTimeout, OptionForm(.time, "request timeout")),
      Setting("interrupt-timeout", \.interruptTimeout, OptionForm(.time, "interrupt timeout")),
      Setting("eviction-timeout", \.evictionTimeout, OptionForm(.time, "eviction timeout")),
      Setting("restart-interval", \.restartInterval, OptionForm(.time, "restart interval")),
      Setting("queue-timeout", \.queueTimeout, OptionForm(.time, "queue timeout")),
      Setting("socket-timeout", \.socketTimeout, OptionForm(.time, "socket timeout", default: "Timeout")),
    ]

  /// CPU seconds at which the kernel kills the process: after `cpuTimeLimit` it has its shutdown timeout to end.
  public var hardCPULimit: UInt64 {
    let (seconds, overflows) = cpuTimeLimit.addingReportingOverflow(UInt64(clamping: shutdownTimeout) / 1_000 &+ 1)
    return overflows ? .max : seconds
  }
}

extension WorkerSettings {
  /// Whom the worker becomes. The groups were looked up by the httpd parent: a worker asks no name service before it has
  /// given up root.
  public struct Credentials: SettingValue {
    public var user: UInt32
    public var group: UInt32
    /// Without the primary group.
    public var supplementaryGroups: [UInt32]

    public init(user: UInt32, group: UInt32, supplementaryGroups: [UInt32]) {
      self.user = user
      self.group = group
      self.supplementaryGroups = supplementaryGroups
    }

    /// Numbers between commas.
    public var settingBytes: [UInt8] {
      Array(([user, group] + supplementaryGroups).map(\.description).joined(separator: ",").utf8)
    }

    public init?(settingBytes bytes: [UInt8]) {
      let words = bytes.split(separator: 0x2C, omittingEmptySubsequences: false)
      let numbers = words.compactMap { UInt32(String(decoding: $0, as: UTF8.self)) }
      guard numbers.count == words.count, numbers.count >= 2 else { return nil }
      self.init(user: numbers[0], group: numbers[1], supplementaryGroups: Array(numbers[2...]))
    }
  }

  public struct Script: SettingsTable {
    public var script: [UInt8] = []
    public var applicationGroup: [UInt8] = []
    /// A failure of its import that another process has logged; 0: there is none.
    public var failure: UInt32 = 0

    public init() {}

    public init(script: [UInt8], applicationGroup: [UInt8], failure: UInt32 = 0) {
      self.script = script
      self.applicationGroup = applicationGroup
      self.failure = failure
    }

    public static let rows: [Setting<Script>] = [
      Setting("script", \.script), Setting("application-group", \.applicationGroup), Setting("failure", \.failure),
    ]
  }
}

/// The engines that are installed beside mod_wsgi.so.
public struct InstalledEngines: Equatable, Sendable {
  public var directory = ""
  public var versions: [PythonVersion] = []
  /// That of the Python that mod_wsgi was built for.
  public var preferred: PythonVersion?

  public init() {}
}
