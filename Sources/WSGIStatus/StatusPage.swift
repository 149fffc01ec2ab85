import RequestCounting
import WSGICore

/// The report as a page for people: no script, nothing from elsewhere, light or dark as the reader's system is.
public struct StatusPage {
  private var text = TextBuilder()
  private let now: Int64

  /// `refresh`: the seconds after which the browser asks again; 0: never.
  public static func render(_ report: StatusReport, refresh: Int) -> [UInt8] {
    var page = StatusPage(now: report.now)
    page.write(report, refresh: refresh)
    return page.text.bytes
  }

  private init(now: Int64) { self.now = now }

  private mutating func write(_ report: StatusReport, refresh: Int) {
    text += "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    text += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    text += "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n"
    if refresh > 0 {
      text += "<meta http-equiv=\"refresh\" content=\""
      text.append(refresh)
      text += "\">\n"
    }
    text += "<title>"
    writeTitle(report)
    text += "</title>\n<style>\n"
    text.append(bytes: PackageResources.status_css)
    text += "</style>\n</head>\n<body>\n"
    writeHeader(report, refresh: refresh)
    text += "<main>\n"
    if report.groups.isEmpty { text += "<p class=\"none\">No process groups, and no request so far.</p>\n" }
    for group in report.groups { write(group) }
    text += "</main>\n"
    writeFooter(report)
    text += "</body>\n</html>\n"
  }

  /// The title in a browser tab, beginning with the number of groups in trouble.
  private mutating func writeTitle(_ report: StatusReport) {
    let troubled = report.groups.count { $0.state.isTrouble }
    if troubled > 0 {
      text += "("
      text.append(troubled)
      text += "!) "
    }
    text += "mod_wsgi · "
    text.appendHTML(report.host)
  }

  private mutating func writeHeader(_ report: StatusReport, refresh: Int) {
    text += "<header>\n<h1>mod_wsgi <span>"
    text.appendHTML(report.host)
    text += "</span></h1>\n<p>"
    text.appendClock(report.now)
    text += " UTC · counting for "
    text.appendDuration(report.now &- report.started)
    if report.generation > 0 {
      text += " · generation "
      text.append(report.generation)
    }
    if refresh > 0 {
      text += " · every "
      text.append(refresh)
      text += " s, <a href=\"?refresh=0\">hold</a>"
    } else {
      text += " · <a href=\"?refresh=5\">refresh every 5 s</a>"
    }
    text += "</p>\n</header>\n"
  }

  private mutating func writeFooter(_ report: StatusReport) {
    text += "<footer><p>"
    text.appendHTML(report.software)
    text += "</p><p>Also as <a href=\"?json\">JSON</a>, <a href=\"?openmetrics\">OpenMetrics</a> and"
    text += " <a href=\"?prometheus\">Prometheus text</a>.</p></footer>\n"
  }

  // MARK: a group

  private mutating func write(_ group: StatusReport.Group) {
    text += "<section class=\"s-"
    text.appendName(group.state.rawValue)
    text += "\">\n<h2>"
    if group.isEmbedded { text += "Embedded mode" } else { text.appendHTML(group.name) }
    text += " <span class=\"state\">"
    text.appendName(group.state.rawValue)
    text += "</span></h2>\n"
    writeFacts(group)
    writeNotes(group)
    writeProcesses(group)
    text += "</section>\n"
  }

  private mutating func writeFacts(_ group: StatusReport.Group) {
    let counts = group.counts
    text += "<dl>\n"
    for figure in StatusReport.Group.figures {
      if let label = figure.label { fact(label) { $0.write(figure.value(group)) } }
    }
    fact("Failed", isBad: counts.statuses[5] > 0) { page in
      page.text.appendGrouped(counts.statuses[5])
      page.text += " <small>5xx</small>"
    }
    for (name, quantile) in StatusNames.quantiles {
      fact(name) { $0.text.appendLatency(LatencyBuckets.quantile(quantile, of: counts.latencies)) }
    }
    if group.threads > 0 { writeLoad(group) }
    text += "</dl>\n"
  }

  private mutating func writeLoad(_ group: StatusReport.Group) {
    let threads = group.busyThreads + group.idleThreads
    fact("Threads busy", isBad: threads > 0 && group.idleThreads == 0) { page in
      page.text.append(group.busyThreads)
      page.text += " <small>of "
      page.text.append(threads)
      page.text += "</small>"
      page.meter(group.busyThreads, threads)
    }
    guard !group.isEmbedded else { return }
    fact("Waiting", isBad: group.waiting > 0) { page in
      page.text.append(group.waiting)
      guard let wait = group.oldestWait else { return }
      page.text += " <small>for "
      page.text.appendDuration(wait)
      page.text += "</small>"
    }
  }

  private mutating func fact(_ name: String, isBad: Bool = false, _ value: (inout StatusPage) -> Void) {
    text += "<div><dt>"
    text.appendName(name)
    if isBad { text += "</dt><dd class=\"bad\">" } else { text += "</dt><dd>" }
    value(&self)
    text += "</dd></div>\n"
  }

  private mutating func meter(_ value: Int, _ whole: Int) {
    text += "<i class=\"meter\"><b style=\"width:"
    text.append(whole > 0 ? min(max(value, 0), whole) * 100 / whole : 0)
    text += "%\"></b></i>"
  }

  private mutating func writeNotes(_ group: StatusReport.Group) {
    text += "<ul>\n"
    if group.state == .failed { text += "<li class=\"bad\">It could not be started; the log of httpd's start says why.</li>\n" }
    let counts = group.counts
    writeStatuses(counts)
    let failures = RequestCause.allCases.filter { counts.causes[$0.rawValue] > 0 }
    if !failures.isEmpty {
      text += "<li><em>Failures:</em> "
      for (index, cause) in failures.enumerated() {
        if index > 0 { text += ", " }
        text.appendGrouped(counts.causes[cause.rawValue])
        text += " × "
        text.appendWords(cause.name)
      }
      if let last = counts.lastFailure {
        text += ". Last: "
        text.appendName(last.cause.sentence)
        text += ", "
        text.appendDuration(now &- last.at)
        text += " ago"
      }
      text += ".</li>\n"
    }
    if !group.ends.isEmpty {
      text += "<li><em>Process ends:</em> "
      for (index, end) in group.ends.enumerated() {
        if index > 0 { text += ", " }
        text.appendGrouped(end.count)
        text += " × "
        text.appendWords(end.reason)
      }
      text += ".</li>\n"
    }
    if let end = group.lastEnd {
      text += end.isNormal ? "<li><em>Last end:</em> process " : "<li class=\"bad\"><em>Last end:</em> process "
      text.append(end.pid)
      text += " "
      text.appendHTML(end.sentence)
      text += ", "
      text.appendDuration(now &- end.at)
      text += " ago.</li>\n"
    }
    if let retry = group.retry {
      text += "<li class=\"bad\"><em>Next start:</em> in "
      text.appendDuration(retry &- now)
      text += ".</li>\n"
    }
    text += "</ul>\n"
  }

  private mutating func writeStatuses(_ counts: RequestCounts) {
    let seen = counts.statuses.indices.filter { counts.statuses[$0] > 0 }
    guard seen.contains(where: { $0 != 2 }) else { return }
    text += "<li><em>Statuses:</em> "
    for (index, kind) in seen.enumerated() {
      if index > 0 { text += ", " }
      text.appendGrouped(counts.statuses[kind])
      text += " × "
      text.appendName(StatusNames.statuses[kind])
    }
    text += ".</li>\n"
  }

  private mutating func writeProcesses(_ group: StatusReport.Group) {
    if group.processes.isEmpty {
      text += "<p class=\"none\">No processes.</p>\n"
      return
    }
    let figures = StatusReport.Process.figures(now: now).filter { $0.label != nil }
    text += "<div class=\"scroll\"><table>\n<thead><tr>"
    for figure in figures { cell("th", figure, group.processes[0]) { $0.text.appendName(figure.label ?? "") } }
    text += "</tr></thead>\n<tbody>\n"
    for process in group.processes {
      text += "<tr>"
      for figure in figures { cell("td", figure, process) { $0.write(figure.value(process)) } }
      text += "</tr>\n"
    }
    text += "</tbody>\n</table></div>\n"
  }

  /// Quantities stand at the right.
  private mutating func cell(
    _ tag: String, _ figure: StatusFigure<StatusReport.Process>, _ process: StatusReport.Process,
    _ content: (inout StatusPage) -> Void
  ) {
    text.appendName(figure.value(process).isQuantity ? "<\(tag) class=\"n\">" : "<\(tag)>")
    content(&self)
    text.appendName("</\(tag)>")
  }

  private mutating func write(_ value: FigureValue) {
    switch value {
    case .text(let string): text.appendHTML(string)
    case .number(let number): text.append(number)
    case .count(let number): text.appendGrouped(number)
    case .counts(let counts, let total): text.appendGrouped(total ?? counts.reduce(0) { $0 &+ $1.count })
    case .time(let microseconds): text.appendDuration(microseconds)
    case .bytes(let number): text.appendMegabytes(number)
    case .absent, .flag, .durations, .object: text += "–"
    }
  }
}

extension StatusReport.GroupState {
  /// Somebody should look after it.
  fileprivate var isTrouble: Bool {
    switch self {
    case .degraded, .down, .failed: true
    case .serving, .starting, .service: false
    }
  }
}
