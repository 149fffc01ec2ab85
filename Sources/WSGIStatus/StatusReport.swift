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

  public enum GroupState: String, Sendable {
    case serving
    /// Its first processes start.
    case starting
    /// Some of its processes are missing.
    case degraded
    /// No process of it takes requests.
    case down
    /// It has no process because there is nothing to do; the next request starts one.
    case sleeping
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
    public var preloaders: [PreloadingProcess] = []

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
    public var state: WorkerState
    public var started: Int64
    /// nil: not known.
    public var busyThreads: Int?
    public var idleThreads: Int?
    public var requests: UInt64?
    /// How long the oldest request that it runs has been running.
    public var oldestRequest: Int64?
    public var residentBytes: UInt64?

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

// MARK: figures

extension StatusReport {
  static let figures: [StatusFigure<StatusReport>] = [
    .init("time", "Now.") { .time($0.now) },
    .init("start_time", metric: .gauge("wsgi_start_time_seconds"), "When counting began: the last start or restart of httpd.") {
      .time($0.started)
    },
    .init("generation", "How often httpd has read its configuration anew while it ran.") { .number(Int64($0.generation)) },
    .init("host", "The name that the client used for the server.") { .text($0.host) },
    .init("software", "Versions of mod_wsgi and httpd.") { .text($0.software) },
  ]
}

extension StatusReport.Group {
  static let figures: [StatusFigure<StatusReport.Group>] = [
    .init("name", "The process group; empty for embedded mode.") { .text($0.isEmbedded ? "" : $0.name) },
    .init("mode", "`embedded` or `daemon`.") { .text($0.isEmbedded ? "embedded" : "daemon") },
    .init(
      "state",
      "`serving`, `starting`, `degraded` (processes are missing), `sleeping` (no process, as there is nothing to do), `down`, "
        + "`failed` (not started) or `service`."
    ) { .text($0.state.rawValue) },
    .init("processes_wanted", metric: .gauge("wsgi_processes_wanted"), "Processes that the group should have.") {
      .count($0.wantedProcesses)
    },
    .init(
      nil, metric: .gauge("wsgi_processes", .each("state", values: listed(WorkerState.allCases.map(\.name)))),
      "Processes, by state."
    ) { group in
      .counts(WorkerState.allCases.map { state in (state.name, UInt64(group.processes.count { $0.state == state })) })
    },
    .init(
      nil, metric: .gauge("wsgi_preloaders", .each("state", values: listed(["loading", "loaded"]))),
      "Processes that load scripts for others, which are their forks, by state."
    ) { group in
      .counts(["loading", "loaded"].map { state in (state, UInt64(group.preloaders.count { $0.state == state })) })
    },
    .init("threads_per_process", "Threads of each process.") { .count($0.threads) },
    .init("threads_busy", metric: .gauge("wsgi_threads", .fixed("state", "busy")), takers) {
      .count($0.busyThreads)
    },
    .init("threads_idle", metric: .gauge("wsgi_threads", .fixed("state", "idle")), takers) {
      .count($0.idleThreads)
    },
    .init("requests_in_flight", metric: .gauge("wsgi_requests_in_flight"), "Requests that httpd has for the group now.") {
      .count($0.inFlight)
    },
    .init("requests_waiting", metric: .gauge("wsgi_requests_waiting"), "Requests in flight that no thread has taken.") {
      .count($0.waiting)
    },
    .init(
      "oldest_wait", metric: .gauge("wsgi_queue_oldest_wait_seconds", isNeverAbsent: true),
      "How long the request that has waited longest has waited."
    ) { .time(ifKnown: $0.oldestWait) },
    .init(
      "requests", label: "Requests", metric: .counter("wsgi_requests", .each("status", values: listed(StatusNames.statuses))),
      "Requests that have ended, by the class of their status (none: the client went first)."
    ) { .counts(Array(zip(StatusNames.statuses, $0.counts.statuses)), total: $0.counts.total) },
    .init(
      "failures", metric: .counter("wsgi_request_failures", .each("cause", values: listed(RequestCause.allCases.map(\.name)))),
      "Requests that were not answered as their application meant it, by cause."
    ) { group in .counts(RequestCause.allCases.map { ($0.name, group.counts.causes[$0.rawValue]) }) },
    .init("last_failure", "Cause and time of the last of them.") { group in
      group.counts.lastFailure.map { .object([("cause", .text($0.cause.name)), ("time", .time($0.at))]) } ?? .absent
    },
    .init(
      "latency", metric: .histogram("wsgi_request_duration_seconds"),
      "From the request line until the handler was done with the response."
    ) { .durations($0.counts) },
    .init(
      "process_ends", metric: .counter("wsgi_process_ends", .each("reason", values: endReasons)),
      "Processes that have ended, by reason."
    ) { .counts($0.ends.map { ($0.reason, $0.count) }) },
    .init("last_end", "The last of them: which, when, how, and whether it is normal for a process to end so.") { group in
      group.lastEnd.map {
        .object([
          ("pid", .number(Int64($0.pid))), ("time", .time($0.at)), ("text", .text($0.sentence)), ("normal", .flag($0.isNormal)),
        ])
      } ?? .absent
    },
    .init("next_start", "When the next attempt to start a process is made.") { .time(ifKnown: $0.retry) },
  ]

  private static func listed(_ names: [String]) -> String { names.map { "`\($0)`" }.joined(separator: ", ") }

  private static let takers = "Threads of processes that take requests, by whether they run one."
  private static let endReasons = "a `shutdown_reason`, `crash_signal`, `crash_exit`, `start_failure`, `overdue`, `unknown`"
}

extension StatusReport.Process {
  private static let threads = "Threads of the process, by whether they run a request."

  static func figures(now: Int64) -> [StatusFigure<StatusReport.Process>] {
    [
      .init("pid", label: "PID", "The process.") { .number(Int64($0.pid)) },
      .init("state", label: "State", "What it does, as in `wsgi_processes`.") { .text($0.state.name) },
      .init("start_time", metric: .gauge("wsgi_process_start_time_seconds"), "When the process was started.") {
        .time($0.started)
      },
      .init("uptime", label: "Up", "How long ago that is.") { .time(max(0, now &- $0.started)) },
      .init("threads_busy", label: "Busy", metric: .gauge("wsgi_process_threads", .fixed("state", "busy")), threads) {
        .count($0.busyThreads)
      },
      .init("threads_idle", label: "Idle", metric: .gauge("wsgi_process_threads", .fixed("state", "idle")), threads) {
        .count($0.idleThreads)
      },
      .init("requests", label: "Requests", metric: .counter("wsgi_process_requests"), "Requests that the process has run.") {
        $0.requests.map { .count($0) } ?? .absent
      },
      .init("oldest_request", label: "Longest", "How long the oldest request that it runs has been running.") {
        .time(ifKnown: $0.oldestRequest)
      },
      .init(
        "resident_bytes", label: "RSS", metric: .gauge("wsgi_process_resident_memory_bytes"), "Resident memory of the process."
      ) {
        $0.residentBytes.map { .bytes($0) } ?? .absent
      },
    ]
  }
}

extension StatusReport.PreloadingProcess {
  static func figures(now: Int64) -> [StatusFigure<StatusReport.PreloadingProcess>] {
    [
      .init("pid", "The preloader.") { .number(Int64($0.pid)) },
      .init("state", "`loading` or `loaded`.") { .text($0.state) },
      .init(
        "start_time", metric: .gauge("wsgi_preloader_start_time_seconds"), "When the preloader was started."
      ) { .time($0.started) },
      .init("uptime", "How long ago the preloader was started.") { .time(max(0, now &- $0.started)) },
      .init(
        "resident_bytes", metric: .gauge("wsgi_preloader_resident_memory_bytes"),
        "Resident memory of the preloader; its forks share much of it."
      ) { $0.residentBytes.map { .bytes($0) } ?? .absent },
    ]
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
  /// Counts requests that are in flight, by when each came, oldest first, once the group's processes are known.
  ///
  /// The queue is first come, first served: of the requests in flight, the oldest are those that run. Where threads are idle,
  /// as many of the others are on their way to one of them, or on their way back to the client; but where sessions stay with
  /// processes (`isSticky`), a request waits for a busy one beside others that are idle.
  /// `receiving`: further requests whose bodies are being received, which wait for no process.
  public mutating func setInFlight(_ starts: [Int64], receiving: Int = 0, now: Int64, isSticky: Bool = false) {
    let known = processes.compactMap(\.busyThreads)
    let capacity = processes.count { $0.state == .ready } * threads
    inFlight = starts.count &+ receiving
    busyThreads = known.isEmpty ? min(starts.count, capacity) : known.reduce(0, +)
    idleThreads = known.isEmpty ? capacity - busyThreads : processes.compactMap(\.idleThreads).reduce(0, +)
    let taken = busyThreads + (isSticky ? 0 : idleThreads)
    waiting = max(0, starts.count - taken)
    if waiting > 0, starts.indices.contains(taken) { oldestWait = max(0, now &- starts[taken]) }
  }
}
