/// How and why a worker ended, as its supervisor found it.
public struct EndRecord: Equatable, Sendable {
  public enum Cause: Equatable, Sendable {
    case exited(code: Int32)
    case killed(signal: Int32)
    /// It ended while no supervisor was its parent.
    case unknown
  }

  public struct Flags: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// A core dump was written.
    public static let core = Flags(rawValue: 1)
    /// The kernel ran out of memory, here or in the cgroup, while the worker ran: most likely it was chosen.
    public static let outOfMemory = Flags(rawValue: 2)
    /// The supervisor killed it: it had not ended in time.
    public static let overdue = Flags(rawValue: 4)
    /// It used up its cpu-time-limit.
    public static let cpuLimit = Flags(rawValue: 8)
    /// It had started, and taken or been able to take requests.
    public static let wasReady = Flags(rawValue: 16)
    /// The group has a memory-limit or virtual-memory-limit.
    public static let memoryLimited = Flags(rawValue: 32)
    /// The group has a control group of its own.
    public static let inControlGroup = Flags(rawValue: 64)
  }

  public var pid: Int32
  /// Names the process among all that the group ever had.
  public var instance: UInt64
  /// Microseconds since the epoch.
  public var started: Int64
  public var ended: Int64
  public var cause: Cause
  public var flags: Flags = []
  /// The reason that the worker gave.
  public var reason: ShutdownReason?

  /// It ended of its own accord and in good order.
  public var isNormal: Bool { reason != nil && (cause == .exited(code: 0) || cause == .unknown) }

  /// The end, to follow "the process": "was killed by signal 11 (SIGSEGV), core dumped".
  public var sentence: String {
    var text = causeText
    if let reason { text += isNormal ? " (\(reason.name))" : " while ending for \(reason.name)" }
    return text
  }

  private var causeText: String {
    switch cause {
    case .unknown: return reason == nil ? "exited; exit status unknown because its supervisor had been restarted" : "exited"
    case .exited(let code):
      if code == 0 { return "exited" }
      if code == WorkerExit.shutdownTimeout.rawValue {
        return WorkerExit.shutdownTimeout.sentence + " and gave up (exit code 255)"
      }
      if !flags.contains(.wasReady), let known = WorkerExit(rawValue: code) { return known.sentence + " (exit code \(code))" }
      return "exited with code \(code)"
    case .killed(let signal):
      var text = "was killed by signal \(signal)"
      if let name = Self.signalName(signal) { text += " (\(name))" }
      if flags.contains(.overdue) { text += " by the supervisor because it did not exit in time" }
      if flags.contains(.cpuLimit) { text += ": it used up its cpu-time-limit" }
      if flags.contains(.outOfMemory) {
        let place = flags.contains(.inControlGroup) ? "system or its control group" : "system"
        text += ", most likely because the \(place) ran out of memory"
      }
      if flags.contains(.core) { text += ", core dumped" }
      if flags.contains(.memoryLimited), signal == 6 || signal == 11 { text += "; it has a memory limit" }
      return text
    }
  }

  static func signalName(_ signal: Int32) -> String? {
    let names: [Int32: String] = [
      1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
      10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ",
      31: "SIGSYS",
    ]
    return names[signal]
  }
}

/// Why a process ended, as far as ends are counted.
public enum EndKind: Equatable, Sendable {
  /// Of its own accord and in good order.
  case reason(ShutdownReason)
  /// By a signal that httpd had not sent, or with an exit code of its own.
  case killed, exited
  /// Before it took requests.
  case startFailed
  /// Its supervisor killed it: it had not ended in time.
  case overdue
  /// No supervisor was there to see it.
  case unknown

  /// All kinds, in the order in which the board counts them.
  static let all: [EndKind] =
    ShutdownReason.allCases.map { .reason($0) } + [.killed, .exited, .startFailed, .overdue, .unknown]

  init(_ end: EndRecord) {
    if end.flags.contains(.overdue) {
      self = .overdue
    } else if end.isNormal, let reason = end.reason {
      self = .reason(reason)
    } else {
      switch end.cause {
      case .unknown: self = .unknown
      case .killed: self = .killed
      case .exited: self = end.flags.contains(.wasReady) ? .exited : .startFailed
      }
    }
  }

  /// As metrics have it.
  public var name: String {
    switch self {
    case .reason(let reason): reason.name
    case .killed: "crash_signal"
    case .exited: "crash_exit"
    case .startFailed: "start_failure"
    case .overdue: "overdue"
    case .unknown: "unknown"
    }
  }
}
