/// What the status page shows, as plain values: whoever collects them knows httpd, and those who write them down know nothing
/// but this. Times in microseconds, points of time since the epoch.
public struct StatusReport: Sendable {
  public var now: Int64
  /// Since when requests are counted: this reading of the configuration.
  public var started: Int64
  /// How often httpd has read its configuration anew while it ran.
  public var generation: Int
  /// The name that the client used for the server.
  public var host: String
  /// Versions of mod_wsgi and httpd.
  public var software: String
  public var groups: [Group] = []

  public init(now: Int64, started: Int64, generation: Int, host: String, software: String) {
    self.now = now
    self.started = started
    self.generation = generation
    self.host = host
    self.software = software
  }

  public enum GroupState: String, Sendable {
    case serving
    /// Its first processes start.
    case starting
    /// Some of its processes are missing.
    case degraded
    /// No process of it takes requests.
    case down
    /// It could not be started at all.
    case failed
    /// It runs service scripts, and takes no requests.
    case service
  }

  /// A process group, or embedded mode.
  public struct Group: Sendable {
    public var name: String
    public var isEmbedded: Bool
    public var state: GroupState
    /// How many processes it should have, and threads in each.
    public var wantedProcesses: Int
    public var threads: Int
    public var counts = RequestCounts()
    /// Requests that httpd has for it, and how many of them no thread has taken.
    public var inFlight = 0
    public var waiting = 0
    /// How long the first of those has waited.
    public var oldestWait: Int64?
    public var busyThreads = 0
    public var idleThreads = 0
    /// When the next attempt to start a process is made.
    public var retry: Int64?
    /// How many of its processes have ended, by reason; reasons that did not occur are left out.
    public var ends: [(reason: String, count: UInt64)] = []
    public var lastEnd: End?
    public var processes: [Process] = []

    public init(name: String, isEmbedded: Bool, state: GroupState, wantedProcesses: Int, threads: Int) {
      self.name = name
      self.isEmbedded = isEmbedded
      self.state = state
      self.wantedProcesses = wantedProcesses
      self.threads = threads
    }
  }

  public struct End: Sendable {
    public var pid: Int32
    public var at: Int64
    /// To follow "the process".
    public var sentence: String
    public var isNormal: Bool

    public init(pid: Int32, at: Int64, sentence: String, isNormal: Bool) {
      self.pid = pid
      self.at = at
      self.sentence = sentence
      self.isNormal = isNormal
    }
  }

  public struct Process: Sendable {
    public var pid: Int32
    public var state: String
    public var started: Int64
    /// nil: not known.
    public var busyThreads: Int?
    public var idleThreads: Int?
    public var requests: UInt64?
    /// How long the oldest request that it runs has been running.
    public var oldestRequest: Int64?
    public var residentBytes: UInt64?

    public init(pid: Int32, state: String, started: Int64) {
      self.pid = pid
      self.state = state
      self.started = started
    }
  }
}
