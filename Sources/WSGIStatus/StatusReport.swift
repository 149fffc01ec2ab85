import RequestCounting
import WSGICore

/// The content of the status page as plain values: the collector knows httpd, the formats know only this. Times are in
/// microseconds, points of time since the epoch.
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

  public enum GroupState: String, CaseIterable, Sendable {
    case serving
    /// All its threads are busy, and requests wait.
    case saturated
    /// Its first processes start.
    case starting
    /// Some of its processes are missing.
    case degraded
    /// No process of it takes requests.
    case down
    /// It has no process because there is nothing to do; the next request starts one.
    case sleeping
    /// A command has stopped it.
    case stopped
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
    /// Requests start its processes.
    public var startsOnDemand = false
    /// Who its processes run as.
    public var user: String?
    /// The version of its Python.
    public var python: String?
    /// The last load of a script in one of its processes.
    public var lastLoad: Load?
    public var counts = RequestCounts()
    /// Intervals of ten seconds, oldest first; empty: not known.
    public var history: [RequestInterval] = []
    /// Requests that httpd has for it, and how many of them no thread has taken.
    public var inFlight = 0
    public var waiting = 0
    /// The oldest of them, oldest first.
    public var running: [OpenRequest] = []
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
    public var preloaders: [PreloadingProcess] = []

    public init(name: String, isEmbedded: Bool, state: GroupState, wantedProcesses: Int, threads: Int) {
      self.name = name
      self.isEmbedded = isEmbedded
      self.state = state
      self.wantedProcesses = wantedProcesses
      self.threads = threads
    }
  }

  public struct Load: Sendable {
    public enum Outcome: String, Sendable {
      case loaded
      /// Requests for the script fail.
      case failed
      /// The code from before goes on serving.
      case kept
    }

    public var outcome: Outcome
    public var at: Int64
    /// Which script, and why it does not load.
    public var text: String

    public init(outcome: Outcome, at: Int64, text: String) {
      self.outcome = outcome
      self.at = at
      self.text = text
    }
  }

  /// A request that has not ended.
  public struct OpenRequest: Sendable {
    public enum State: String, Sendable {
      /// httpd receives its body.
      case receiving
      case waiting
      case running
    }

    public var label: RequestLabel.Copy?
    /// nil: it has yet to wait for a process.
    public var age: Int64?
    public var state: State

    public init(label: RequestLabel.Copy?, age: Int64?, state: State) {
      self.label = label
      self.age = age
      self.state = state
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
    public var state: WorkerState
    public var started: Int64
    /// nil: not known.
    public var busyThreads: Int?
    public var idleThreads: Int?
    public var requests: UInt64?
    /// How long the oldest request that it runs has been running.
    public var oldestRequest: Int64?
    public var residentBytes: UInt64?
    /// How long processors have worked for it.
    public var processorTime: Int64?
    /// The part of a processor that it has used of late, in thousandths.
    public var processorShare: Int64?

    public init(pid: Int32, state: WorkerState, started: Int64) {
      self.pid = pid
      self.state = state
      self.started = started
    }
  }
}

extension StatusReport {
  /// A process of which the group's others are forks (`preload=On`).
  public struct PreloadingProcess: Sendable {
    public var pid: Int32
    /// It has loaded its scripts.
    public var hasLoaded: Bool
    public var started: Int64
    public var residentBytes: UInt64?

    public init(pid: Int32, hasLoaded: Bool, started: Int64) {
      self.pid = pid
      self.hasLoaded = hasLoaded
      self.started = started
    }

    var state: String { hasLoaded ? "loaded" : "loading" }
  }
}

// MARK: computed from counters

extension StatusReport.GroupState {
  /// The state of a group that was started: `ready` of the `wanted` processes take requests.
  /// - isServed: some do, or are about to.
  /// - hasFailed: its last process did not start, or crashed at once.
  public init(threads: Int, wanted: Int, ready: Int, isServed: Bool, hasFailed: Bool = false) {
    self =
      if threads == 0 {
        .service
      } else if wanted == 0, ready == 0 {
        hasFailed ? .down : .sleeping
      } else if ready >= wanted {
        .serving
      } else if ready > 0 {
        .degraded
      } else {
        isServed ? .starting : .down
      }
  }
}

extension StatusReport.Group {
  /// So many of the requests in flight are told one by one.
  static let mostRunning = 20

  /// Counts requests that are in flight, once the group's processes are known.
  ///
  /// The queue is first come, first served: of the requests in flight, the oldest are those that run. Where threads are idle,
  /// as many of the others are on their way to one of them, or on their way back to the client; but where sessions stay with
  /// processes (`isSticky`), a request waits for a busy one beside others that are idle.
  /// Those whose bodies are being received wait for no process.
  public mutating func setInFlight(_ open: [RequestBook.OpenRequest], now: Int64, isSticky: Bool = false) {
    let known = processes.compactMap(\.busyThreads)
    let capacity = processes.count { $0.state == .ready } * threads
    let begun = open.filter { $0.started > 0 }.sorted { $0.started < $1.started }
    let starts = begun.map(\.started)
    inFlight = open.count
    busyThreads = known.isEmpty ? min(starts.count, capacity) : known.reduce(0, +)
    idleThreads = known.isEmpty ? capacity - busyThreads : processes.compactMap(\.idleThreads).reduce(0, +)
    let taken = busyThreads + (isSticky ? 0 : idleThreads)
    waiting = max(0, starts.count - taken)
    if waiting > 0, starts.indices.contains(taken) { oldestWait = max(0, now &- starts[taken]) }
    if state == .serving, waiting > 0, idleThreads == 0, busyThreads > 0 { state = .saturated }
    running = begun.prefix(Self.mostRunning).enumerated().map { index, request in
      StatusReport.OpenRequest(
        label: request.label, age: max(0, now &- request.started), state: index < taken ? .running : .waiting)
    }
    running += open.lazy.filter { $0.started == 0 }.prefix(Self.mostRunning - running.count).map {
      StatusReport.OpenRequest(label: $0.label, age: nil, state: .receiving)
    }
  }

  /// The requests that ended within a minute, until the current interval.
  public var lastMinute: RequestInterval? {
    history.isEmpty ? nil : history.dropLast().suffix(Self.minute).reduce(RequestInterval(), +)
  }

  private static let minute = Int(60_000_000 / RequestInterval.microseconds)

  /// A request has ended within the time that the history covers, or one is there.
  var isInUse: Bool { inFlight > 0 || history.contains { $0.ended > 0 } }

  /// Whether it takes requests, or will without anybody's doing; nil, or why not. What its applications answer is not looked at,
  /// but for one that cannot be loaded.
  public var unreadiness: String? {
    switch state {
    // A queue is no reason to send requests elsewhere: others would have them as well, and queue-limit refuses what is too much.
    case .serving, .saturated, .degraded: lastLoad?.outcome == .failed ? "its script does not load" : nil
    case .sleeping: nil
    case .service: processes.contains { $0.state == .starting || $0.state == .ready } ? nil : "no process"
    case .starting: startsOnDemand ? nil : "its processes are starting"
    case .down: "no process takes requests"
    case .stopped: "it is stopped"
    case .failed: "it was not started"
    }
  }
}
