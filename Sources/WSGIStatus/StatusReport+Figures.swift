import RequestCounting
import WSGICore

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
      metric: .gauge("wsgi_group_state", .each("state", values: listed(StatusReport.GroupState.allCases.map(\.rawValue)))),
      "`serving`, `saturated` (all threads are busy, and requests wait), `starting`, `degraded` (processes are missing), "
        + "`sleeping` (no process, as there is nothing to do), `down`, `stopped` (by a command), `failed` (not started) or "
        + "`service`."
    ) { .choice($0.state.rawValue, of: StatusReport.GroupState.allCases.map(\.rawValue)) },
    .init("user", "Who its processes run as.") { .text(ifKnown: $0.user) },
    .init(
      "python", metric: .gauge("wsgi_python_info", .each("version", values: "such as `3.11.2`")),
      "The version of its Python, once one has started."
    ) { $0.python.map { .choice($0, of: [$0]) } ?? .absent },
    .init(
      "last_load", metric: .gauge("wsgi_last_load", .each("outcome", values: "`loaded`, `failed`, `kept`")),
      "How the last load of a script went (`failed`: requests for it fail; `kept`: the code from before serves), when, and why."
    ) { group in
      group.lastLoad.map { load in
        .choice(
          load.outcome.rawValue, of: ["loaded", "failed", "kept"], more: [("time", .time(load.at)), ("text", .text(load.text))])
      } ?? .absent
    },
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
      "running",
      "The oldest of the requests in flight, twenty at most: `method`, `path` (null unless `WSGIStatusPaths On`), `age` and "
        + "`state` (`running`, `waiting`, or `receiving` its body)."
    ) { .list($0.running.map(\.figure)) },
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
      "last_minute",
      "Of the requests that ended within the last minute: how many, how many with a 5xx status, and how long one took."
    ) { group in
      group.lastMinute.map {
        .object([
          ("requests", .count($0.ended)), ("failed", .count($0.failed)),
          ("mean", .time(ifKnown: $0.mean.map { Int64(clamping: $0) })),
        ])
      } ?? .absent
    },
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
      .init("threads_idle", metric: .gauge("wsgi_process_threads", .fixed("state", "idle")), threads) {
        .count($0.idleThreads)
      },
      .init("requests", label: "Requests", metric: .counter("wsgi_process_requests"), "Requests that the process has run.") {
        $0.requests.map { .count($0) } ?? .absent
      },
      .init(
        "oldest_request", label: "Longest", metric: .gauge("wsgi_process_oldest_request_seconds"),
        "How long the oldest request that it runs has been running."
      ) { .time(ifKnown: $0.oldestRequest) },
      .init(
        "cpu_time", metric: .counter("wsgi_process_cpu_seconds"), "How long processors have worked for it."
      ) { .time(ifKnown: $0.processorTime) },
      .init("cpu", label: "CPU", "Which part of a processor it has used since the page was made before, 1 being all of one.") {
        $0.processorShare.map { .share($0) } ?? .absent
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

extension StatusReport.OpenRequest {
  fileprivate var figure: FigureValue {
    .object([
      ("method", label.map { .text(String(decoding: $0.method, as: UTF8.self)) } ?? .absent),
      ("path", .text(ifKnown: path)), ("age", .time(ifKnown: age)), ("state", .text(state.rawValue)),
    ])
  }

  /// nil: withheld.
  var path: String? {
    label.flatMap { label in label.path.map { String(decoding: $0, as: UTF8.self) + (label.isCut ? "…" : "") } }
  }
}
