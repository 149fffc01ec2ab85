/// The report as OpenMetrics, or in Prometheus' older text format, which names counters otherwise and has no end mark.
public struct StatusMetrics {
  private enum Kind: String {
    case gauge, counter, histogram
  }

  private var text = TextBuilder()
  private let isOpenMetrics: Bool
  private let started: Int64

  public static func render(_ report: StatusReport, isOpenMetrics: Bool) -> [UInt8] {
    var metrics = StatusMetrics(isOpenMetrics: isOpenMetrics, started: report.started)
    metrics.write(report)
    return metrics.text.bytes
  }

  private init(isOpenMetrics: Bool, started: Int64) {
    self.isOpenMetrics = isOpenMetrics
    self.started = started
  }

  private mutating func write(_ report: StatusReport) {
    family("wsgi_start_time_seconds", .gauge, "When counting began: the last start or restart of httpd.", unit: true)
    sample("wsgi_start_time_seconds") { $0.appendSeconds(report.started) }
    let groups = report.groups.map { (labels: [("group", $0.isEmbedded ? "" : $0.name)], group: $0) }
    writeRequests(groups)
    writeQueues(groups)
    writeProcesses(groups)
    if isOpenMetrics { text += "# EOF\n" }
  }

  private typealias Labels = [(String, String)]
  private typealias Groups = [(labels: Labels, group: StatusReport.Group)]

  private mutating func writeRequests(_ groups: Groups) {
    family("wsgi_requests", .counter, "Requests that have ended, by the class of their status.")
    for (labels, group) in groups {
      for (kind, name) in StatusNames.statuses.enumerated() {
        counter("wsgi_requests", labels + [("status", name)], group.counts.statuses[kind])
      }
    }
    family("wsgi_request_failures", .counter, "Requests that were not answered as their application meant it, by cause.")
    for (labels, group) in groups {
      for cause in RequestCause.allCases {
        counter("wsgi_request_failures", labels + [("cause", cause.name)], group.counts.causes[cause.rawValue])
      }
    }
    let name: StaticString = "wsgi_request_duration_seconds"
    family(name, .histogram, "From the request line until the handler was done with the response.", unit: true)
    for (labels, group) in groups {
      let total = group.counts.latencies.reduce(0, &+)
      for (end, below) in LatencyBuckets.cumulative(group.counts.latencies) {
        sample(name, "_bucket", labels, bound: end) { $0.append(below) }
      }
      sample(name, "_bucket", labels + [("le", "+Inf")]) { $0.append(total) }
      sample(name, "_sum", labels) { $0.appendSeconds(group.counts.duration) }
      sample(name, "_count", labels) { $0.append(total) }
      created(name, labels)
    }
  }

  private mutating func writeQueues(_ groups: Groups) {
    gauges("wsgi_requests_in_flight", "Requests that httpd has for the group now.", groups) { $0.inFlight }
    gauges("wsgi_requests_waiting", "Requests in flight that no thread has taken.", groups) { $0.waiting }
    let name: StaticString = "wsgi_queue_oldest_wait_seconds"
    family(name, .gauge, "How long the request that has waited longest has waited.", unit: true)
    for (labels, group) in groups { sample(name, "", labels) { $0.appendSeconds(group.oldestWait ?? 0) } }
    family("wsgi_threads", .gauge, "Threads of processes that take requests.")
    for (labels, group) in groups {
      sample("wsgi_threads", "", labels + [("state", "busy")]) { $0.append(group.busyThreads) }
      sample("wsgi_threads", "", labels + [("state", "idle")]) { $0.append(group.idleThreads) }
    }
  }

  private mutating func writeProcesses(_ groups: Groups) {
    gauges("wsgi_processes_wanted", "Processes that the group should have.", groups) { $0.wantedProcesses }
    family("wsgi_processes", .gauge, "Processes, by state.")
    for (labels, group) in groups {
      for state in ["starting", "ready", "candidate", "draining", "stopping"] {
        let count = group.processes.count { $0.state == state }
        sample("wsgi_processes", "", labels + [("state", state)]) { $0.append(count) }
      }
    }
    family("wsgi_process_ends", .counter, "Processes that have ended, by reason.")
    for (labels, group) in groups {
      for end in group.ends { counter("wsgi_process_ends", labels + [("reason", end.reason)], end.count) }
    }
    let processes = groups.flatMap { labels, group in group.processes.map { (labels + [("pid", "\($0.pid)")], $0) } }
    family("wsgi_process_start_time_seconds", .gauge, "When the process was started.", unit: true)
    for (labels, process) in processes {
      sample("wsgi_process_start_time_seconds", "", labels) { $0.appendSeconds(process.started) }
    }
    family("wsgi_process_resident_memory_bytes", .gauge, "Resident memory of the process.", unit: "bytes")
    for (labels, process) in processes {
      guard let bytes = process.residentBytes else { continue }
      sample("wsgi_process_resident_memory_bytes", "", labels) { $0.append(bytes) }
    }
    family("wsgi_process_threads", .gauge, "Threads of the process.")
    for (labels, process) in processes {
      if let busy = process.busyThreads {
        sample("wsgi_process_threads", "", labels + [("state", "busy")]) { $0.append(busy) }
      }
      if let idle = process.idleThreads {
        sample("wsgi_process_threads", "", labels + [("state", "idle")]) { $0.append(idle) }
      }
    }
    family("wsgi_process_requests", .counter, "Requests that the process has run.")
    for (labels, process) in processes {
      guard let requests = process.requests else { continue }
      counter("wsgi_process_requests", labels, requests, since: process.started)
    }
  }

  // MARK: syntax

  private mutating func family(_ name: StaticString, _ kind: Kind, _ help: StaticString, unit: Bool) {
    family(name, kind, help, unit: unit ? "seconds" : "")
  }

  private mutating func family(_ name: StaticString, _ kind: Kind, _ help: StaticString, unit: StaticString = "") {
    func full(_ text: inout TextBuilder) {
      text += name
      if kind == .counter, !isOpenMetrics { text += "_total" }
    }
    text += "# HELP "
    full(&text)
    text += " "
    text += help
    text += "\n# TYPE "
    full(&text)
    switch kind {
    case .gauge: text += " gauge\n"
    case .counter: text += " counter\n"
    case .histogram: text += " histogram\n"
    }
    guard isOpenMetrics, unit.utf8CodeUnitCount > 0 else { return }
    text += "# UNIT "
    text += name
    text += " "
    text += unit
    text += "\n"
  }

  private mutating func sample(
    _ name: StaticString, _ suffix: StaticString = "", _ labels: Labels = [], bound: UInt64? = nil,
    _ value: (inout TextBuilder) -> Void
  ) {
    text += name
    text += suffix
    if !labels.isEmpty || bound != nil {
      text += "{"
      for (index, label) in labels.enumerated() {
        if index > 0 { text += "," }
        text.appendName(label.0)
        text += "="
        text.appendLabel(label.1)
      }
      if let bound {
        if !labels.isEmpty { text += "," }
        text += "le=\""
        text.appendSeconds(bound)
        text += "\""
      }
      text += "}"
    }
    text += " "
    value(&text)
    text += "\n"
  }

  private mutating func counter(_ name: StaticString, _ labels: Labels, _ value: UInt64, since: Int64? = nil) {
    sample(name, "_total", labels) { $0.append(value) }
    created(name, labels, since: since)
  }

  private mutating func created(_ name: StaticString, _ labels: Labels, since: Int64? = nil) {
    guard isOpenMetrics else { return }
    let time = since ?? started
    sample(name, "_created", labels) { $0.appendSeconds(time) }
  }

  private mutating func gauges(
    _ name: StaticString, _ help: StaticString, _ groups: Groups, _ value: (StatusReport.Group) -> Int
  ) {
    family(name, .gauge, help)
    for (labels, group) in groups { sample(name, "", labels) { $0.append(value(group)) } }
  }
}
