import RequestCounting

/// The report as OpenMetrics, or in Prometheus' older text format, which names counters otherwise and has no end mark.
public struct StatusMetrics {
  private var text = TextBuilder()
  private let isOpenMetrics: Bool

  public static func render(_ report: StatusReport, isOpenMetrics: Bool) -> [UInt8] {
    var metrics = StatusMetrics(isOpenMetrics: isOpenMetrics)
    metrics.write(report)
    return metrics.text.bytes
  }

  private init(isOpenMetrics: Bool) { self.isOpenMetrics = isOpenMetrics }

  private typealias Labels = [(String, String)]
  /// `since`: when its counters began at 0.
  private typealias Labelled<Subject> = (labels: Labels, subject: Subject, since: Int64)

  private mutating func write(_ report: StatusReport) {
    let groups: [Labelled<StatusReport.Group>] = report.groups.map {
      ([("group", $0.isEmbedded ? "" : $0.name)], $0, report.started)
    }
    let processes: [Labelled<StatusReport.Process>] = groups.flatMap { labels, group, _ in
      group.processes.map { (labels + [("pid", "\($0.pid)")], $0, $0.started) }
    }
    let preloaders: [Labelled<StatusReport.PreloadingProcess>] = groups.flatMap { labels, group, _ in
      group.preloaders.map { (labels + [("pid", "\($0.pid)")], $0, $0.started) }
    }
    write(StatusReport.figures, [([], report, report.started)])
    write(StatusReport.Group.figures, groups)
    write(StatusReport.Process.figures(now: report.now), processes)
    write(StatusReport.PreloadingProcess.figures(now: report.now), preloaders)
    if isOpenMetrics { text += "# EOF\n" }
  }

  private mutating func write<Subject>(_ figures: [StatusFigure<Subject>], _ subjects: [Labelled<Subject>]) {
    var family = ""
    for figure in figures {
      guard let metric = figure.metric else { continue }
      if metric.name != family { begin(metric, figure.help) }
      family = metric.name
      for (labels, subject, since) in subjects { write(figure.value(subject), metric, labels, since: since) }
    }
  }

  private mutating func write(_ value: FigureValue, _ metric: Metric, _ labels: Labels, since: Int64) {
    var labels = labels
    if case .fixed(let name, let value) = metric.label { labels.append((name, value)) }
    switch value {
    case .absent where metric.isNeverAbsent: write(.count(0), metric, labels, since: since)
    case .count(let number), .bytes(let number): add(number, to: metric, labels, since: since)
    case .time(let microseconds):
      sample(metric.name, metric.kind == .counter ? "_total" : "", labels) { $0.appendSeconds(microseconds) }
      if metric.kind == .counter { created(metric.name, labels, since: since) }
    case .choice(let chosen, let all, _):
      write(.counts(all.map { ($0, $0 == chosen ? 1 : 0) }), metric, labels, since: since)
    case .counts(let counts, _):
      guard case .each(let label, _) = metric.label else { return }
      for (name, count) in counts { add(count, to: metric, labels + [(label, name)], since: since) }
    case .durations(let counts): write(counts, metric.name, labels, since: since)
    case .absent, .text, .flag, .number, .object, .list, .share: break
    }
  }

  private mutating func add(_ number: UInt64, to metric: Metric, _ labels: Labels, since: Int64) {
    guard metric.kind == .counter else { return sample(metric.name, "", labels) { $0.append(number) } }
    sample(metric.name, "_total", labels) { $0.append(number) }
    created(metric.name, labels, since: since)
  }

  private mutating func write(_ counts: RequestCounts, _ name: String, _ labels: Labels, since: Int64) {
    let total = counts.latencies.reduce(0, &+)
    for (end, below) in LatencyBuckets.cumulative(counts.latencies) {
      sample(name, "_bucket", labels, bound: end) { $0.append(below) }
    }
    sample(name, "_bucket", labels + [("le", "+Inf")]) { $0.append(total) }
    sample(name, "_sum", labels) { $0.appendSeconds(counts.duration) }
    sample(name, "_count", labels) { $0.append(total) }
    created(name, labels, since: since)
  }

  // MARK: syntax

  private mutating func begin(_ metric: Metric, _ help: String) {
    let name = metric.kind == .counter && !isOpenMetrics ? metric.name + "_total" : metric.name
    text.appendName("# HELP \(name) \(help)\n# TYPE \(name) \(metric.kind.rawValue)\n")
    if isOpenMetrics, let unit = metric.unit { text.appendName("# UNIT \(name) \(unit)\n") }
  }

  private mutating func sample(
    _ name: String, _ suffix: StaticString, _ labels: Labels, bound: UInt64? = nil, _ value: (inout TextBuilder) -> Void
  ) {
    text.appendName(name)
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

  private mutating func created(_ name: String, _ labels: Labels, since: Int64) {
    if isOpenMetrics { sample(name, "_created", labels) { $0.appendSeconds(since) } }
  }
}
