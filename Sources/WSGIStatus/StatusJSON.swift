/// The report as JSON: times and durations are seconds, points of time since the epoch.
public struct StatusJSON {
  private var text = TextBuilder()

  public static func render(_ report: StatusReport) -> [UInt8] {
    var json = StatusJSON()
    json.write(report)
    return json.text.bytes
  }

  private mutating func write(_ report: StatusReport) {
    text += "{"
    seconds("time", report.now)
    seconds("start_time", report.started)
    number("generation", report.generation)
    string("host", report.host)
    string("software", report.software)
    list("groups", report.groups) { $0.write($1, report) }
    close("}")
    text += "\n"
  }

  private mutating func write(_ group: StatusReport.Group, _ report: StatusReport) {
    string("name", group.isEmbedded ? "" : group.name)
    string("mode", group.isEmbedded ? "embedded" : "daemon")
    string("state", group.state.rawValue)
    number("processes_wanted", group.wantedProcesses)
    number("threads_per_process", group.threads)
    number("threads_busy", group.busyThreads)
    number("threads_idle", group.idleThreads)
    number("requests_in_flight", group.inFlight)
    number("requests_waiting", group.waiting)
    seconds("oldest_wait", group.oldestWait)
    write(group.counts)
    let ends = group.ends
    object("process_ends") { json in for end in ends { json.number(end.reason, end.count) } }
    write(group.lastEnd)
    seconds("next_start", group.retry)
    list("processes", group.processes) { $0.write($1, report.now) }
  }

  private mutating func write(_ counts: RequestCounts) {
    object("requests") { json in
      json.number("total", counts.total)
      for (kind, name) in StatusNames.statuses.enumerated() { json.number(name, counts.statuses[kind]) }
    }
    object("failures") { json in
      for cause in RequestCause.allCases { json.number(cause.name, counts.causes[cause.rawValue]) }
    }
    key("last_failure")
    if let failure = counts.lastFailure {
      text += "{"
      string("cause", failure.cause.name)
      seconds("time", failure.at)
      close("}")
    } else {
      text += "null"
    }
    object("latency") { json in
      json.seconds("sum", Int64(clamping: counts.duration))
      for (name, quantile) in StatusNames.quantiles {
        json.seconds(name, LatencyBuckets.quantile(quantile, of: counts.latencies).map { Int64(clamping: $0) })
      }
    }
  }

  private mutating func write(_ end: StatusReport.End?) {
    key("last_end")
    guard let end else {
      text += "null"
      return
    }
    text += "{"
    number("pid", end.pid)
    seconds("time", end.at)
    string("text", end.sentence)
    key("normal")
    if end.isNormal { text += "true" } else { text += "false" }
    close("}")
  }

  private mutating func write(_ process: StatusReport.Process, _ now: Int64) {
    number("pid", process.pid)
    string("state", process.state)
    seconds("start_time", process.started)
    seconds("uptime", max(0, now &- process.started))
    number("threads_busy", process.busyThreads)
    number("threads_idle", process.idleThreads)
    number("requests", process.requests)
    seconds("oldest_request", process.oldestRequest)
    number("resident_bytes", process.residentBytes)
  }

  // MARK: syntax

  private var needsComma: Bool {
    switch text.bytes.last {
    case UInt8(ascii: "{"), UInt8(ascii: "["), nil: false
    default: true
    }
  }

  private mutating func key(_ name: String) {
    if needsComma { text += "," }
    text.appendJSON(name)
    text += ":"
  }

  private mutating func close(_ bracket: StaticString) { text += bracket }

  private mutating func string(_ name: String, _ value: String) {
    key(name)
    text.appendJSON(value)
  }

  private mutating func number<N: BinaryInteger>(_ name: String, _ value: N?) {
    key(name)
    if let value { text.append(value) } else { text += "null" }
  }

  private mutating func seconds(_ name: String, _ value: Int64?) {
    key(name)
    if let value { text.appendSeconds(value) } else { text += "null" }
  }

  private mutating func object(_ name: String, _ body: (inout StatusJSON) -> Void) {
    key(name)
    text += "{"
    body(&self)
    text += "}"
  }

  private mutating func list<Element>(_ name: String, _ values: [Element], _ body: (inout StatusJSON, Element) -> Void) {
    key(name)
    text += "["
    for value in values {
      if needsComma { text += "," }
      text += "{"
      body(&self, value)
      text += "}"
    }
    text += "]"
  }
}

/// Names that all formats share.
enum StatusNames {
  /// As `RequestCounts.statuses`.
  static let statuses = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"]
  static let quantiles: [(name: String, quantile: Double)] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)]
}
