import RequestCounting

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
    write(report, StatusReport.figures)
    list("groups", report.groups) { json, group in
      json.write(group, StatusReport.Group.figures)
      json.list("processes", group.processes) { $0.write($1, StatusReport.Process.figures(now: report.now)) }
      json.list("preloaders", group.preloaders) { $0.write($1, StatusReport.PreloadingProcess.figures(now: report.now)) }
    }
    text += "}\n"
  }

  private mutating func write<Subject>(_ subject: Subject, _ figures: [StatusFigure<Subject>]) {
    for figure in figures {
      guard let name = figure.key else { continue }
      key(name)
      write(figure.value(subject))
    }
  }

  private mutating func write(_ value: FigureValue) {
    switch value {
    case .absent: text += "null"
    case .text(let string): text.appendJSON(string)
    case .flag(let isSet): text.appendName(isSet ? "true" : "false")
    case .number(let number): text.append(number)
    case .count(let number), .bytes(let number): text.append(number)
    case .time(let microseconds): text.appendSeconds(microseconds)
    case .share(let thousandths): text.appendSeconds(thousandths.multipliedReportingOverflow(by: 1000).partialValue)
    case .choice(let chosen, _, let more):
      write(more.isEmpty ? .text(chosen) : .object([("outcome", .text(chosen))] + more))
    case .list(let values):
      text += "["
      for value in values {
        if needsComma { text += "," }
        write(value)
      }
      text += "]"
    case .counts(let counts, let total):
      write(.object((total.map { [("total", .count($0))] } ?? []) + counts.map { ($0.name, .count($0.count)) }))
    case .durations(let counts):
      let quantiles: [(key: String, value: FigureValue)] = StatusNames.quantiles.map { name, quantile in
        (name, .time(ifKnown: LatencyBuckets.quantile(quantile, of: counts.latencies).map { Int64(clamping: $0) }))
      }
      write(.object([("sum", .time(Int64(clamping: counts.duration)))] + quantiles))
    case .object(let members):
      text += "{"
      for member in members {
        key(member.key)
        write(member.value)
      }
      text += "}"
    }
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
