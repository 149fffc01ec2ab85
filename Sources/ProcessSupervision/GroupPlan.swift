import Glibc
import WSGICore

/// A process group as its supervisor is told of it, by the httpd parent that made the descriptors before it forked.
public struct GroupPlan {
  /// For messages.
  public var name: String
  /// The most processes that serve at a time.
  public var processes: Int
  /// The fewest: as many as `processes`, or those that stay when there is nothing to do.
  public var minimumProcesses: Int
  /// How long a process beyond those has nothing to do before it ends, in microseconds; 0: it stays.
  public var idleTimeout: Int64 = 60_000_000
  /// Workers are forks of a process that has loaded the scripts of the main interpreter (`preload=On`).
  public var preloads = false
  /// The settings of the group's processes; instance and candidate are filled in for each.
  public var settings: WorkerSettings
  /// The path of `wsgi-worker`.
  public var program: [UInt8]
  /// Its argv, what `ps` shows: `display-name`, or the program and the group.
  public var arguments: [[UInt8]]
  public var environment: [[UInt8]]
  /// `never`: the group cannot be started, and keeps its place in the list for its name only.
  public var queue = RenewableQueue.never
  /// A file that every worker of the group finds as `WorkerDescriptor.shared`; -1: none.
  public var sharedFile: Int32 = -1
  /// Where sessions stay with processes: how many slots there are for them, one for each process, and the descriptor that keeps
  /// their queues (`SessionQueues`). 0 and -1: sessions are none of the group's business.
  public var sessionSlots = 0
  public var sessionQueues: Int32 = -1
  /// Written to the files of the control group that `settings` names, before a process starts in it.
  public var controlGroupValues: [ControlGroupValue] = []
  /// Old code is kept when new code does not load (`reload=rolling`).
  public var keepsOldCode: Bool
  /// The file of the group's `WorkerScoreboard`; -1: it has none.
  public var activity: Int32 = -1
  /// The content of that file; nil: it cannot be read.
  public var workers: WorkerScoreboard?
  /// Writes a record into the ErrorLog of the group's server. The text may hold any byte but NUL.
  public var log: (LogRecord) -> Void = { _ in }
  /// Makes the descriptors of a group that has none until a request comes for it, in its supervisor; they become the caller's.
  /// nil: it has them from the start.
  public var makeFiles: (() -> GroupFiles?)?
  /// The plan is of a template: no group is made of it, but others from it. nil: it is of a group.
  public var template: TemplatePlan?
  /// Makes another queue for the group, whose ends become the caller's. nil: errno says why not.
  public var makeQueue: () -> RenewableQueue.Ends? = { nil }

  public init(
    name: String, processes: Int, settings: WorkerSettings, program: [UInt8], arguments: [[UInt8]], environment: [[UInt8]],
    keepsOldCode: Bool = false
  ) {
    self.name = name
    self.processes = processes
    minimumProcesses = processes
    self.settings = settings
    self.program = program
    self.arguments = arguments
    self.environment = environment
    self.keepsOldCode = keepsOldCode
  }

  /// That the queues of the group's session slots cannot be made, for the log.
  public func lackOfSessions(_ number: Int32) -> String {
    "WSGI0732: Sessions do not stay with the processes of group '\(name)': their queues cannot be made:"
      + " \(String(cString: strerror(number)))."
  }

  /// How long a worker may take to end once it has been told to stop, in microseconds.
  var stopAllowance: Int64 {
    let timeout = settings.shutdownTimeout > 0 ? settings.shutdownTimeout : 5_000
    return min(timeout, 3_600_000) &* 1_000 &+ 1_000_000
  }

  /// The same for one that drains; nil: as long as its requests take.
  var drainAllowance: Int64? {
    guard settings.gracefulTimeout > 0, settings.shutdownTimeout > 0 else { return nil }
    return min(settings.gracefulTimeout, 86_400_000) &* 1_000 &+ stopAllowance &+ 5_000_000
  }
}

/// Functions that the supervisor needs of the process that it runs in.
public struct SupervisorCallbacks {
  /// Writes a record that belongs to no group into the main server's ErrorLog.
  public var log: (LogRecord) -> Void
  /// httpd's scoreboard as pairs; nil where there is none.
  public var metrics: () -> [UInt8]?

  public init(log: @escaping (LogRecord) -> Void, metrics: @escaping () -> [UInt8]? = { nil }) {
    self.log = log
    self.metrics = metrics
  }
}
