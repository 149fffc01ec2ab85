import RequestCounting
import WSGICore

/// The report as a page for people: no script, nothing from elsewhere, light or dark as the reader's system is.
public struct StatusPage {
  private let now: Int64

  /// `refresh`: the seconds after which the browser asks again; 0: never.
  public static func render(_ report: StatusReport, refresh: Int) -> [UInt8] {
    Array(StatusPage(now: report.now).document(report, refresh: refresh).text.utf8)
  }

  private func document(_ report: StatusReport, refresh: Int) -> HTML {
    let refreshing: HTML = refresh > 0 ? "<meta http-equiv=\"refresh\" content=\"\(refresh)\">\n" : ""
    let style = HTML(stringLiteral: String(decoding: PackageResources.status_css, as: UTF8.self))
    let none: HTML = "<p class=\"none\">No process groups, and no request so far.</p>\n"
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <meta name="robots" content="noindex">
      \(refreshing)<title>\(trouble(report))mod_wsgi · \(report.host)</title>
      <style>
      \(style)</style>
      </head>
      <body>
      \(header(report, refresh: refresh))<main>
      \(report.groups.isEmpty ? none : HTML(report.groups.map(section)))</main>
      <footer><p>\(report.software)</p><p>Also as <a href="?json">JSON</a>, <a href="?openmetrics">OpenMetrics</a> and \
      <a href="?prometheus">Prometheus text</a>.</p></footer>
      </body>
      </html>

      """
  }

  /// A browser tab begins with the number of groups in trouble.
  private func trouble(_ report: StatusReport) -> HTML {
    let troubled = report.groups.count { $0.state.isTrouble }
    return troubled > 0 ? "(\(troubled)!) " : ""
  }

  private func header(_ report: StatusReport, refresh: Int) -> HTML {
    let generation: HTML = report.generation > 0 ? " · generation \(report.generation)" : ""
    let refreshing: HTML =
      refresh > 0
      ? "every \(refresh) s, <a href=\"?refresh=0\">hold</a>" : "<a href=\"?refresh=5\">refresh every 5 s</a>"
    let age = HTML.duration(report.now &- report.started)
    return """
      <header>
      <h1>mod_wsgi <span>\(report.host)</span></h1>
      <p>\(HTML.clock(report.now)) UTC · counting for \(age)\(generation) · \(refreshing)</p>
      </header>

      """
  }

  // MARK: a group

  private func section(_ group: StatusReport.Group) -> HTML {
    let state = group.state.rawValue
    return """
      <section class="s-\(state)">
      <h2>\(group.isEmbedded ? "Embedded mode" : group.name) <span class="state">\(state)</span></h2>
      <dl>
      \(HTML(facts(group)))</dl>
      <ul>
      \(HTML(notes(group)))</ul>
      \(processes(group))</section>

      """
  }

  private func facts(_ group: StatusReport.Group) -> [HTML] {
    let counts = group.counts
    let failed = counts.statuses[5]
    var facts = StatusReport.Group.figures.compactMap { figure in
      figure.label.map { fact($0, value(figure.value(group))) }
    }
    facts.append(fact("Failed", isBad: failed > 0, "\(HTML.grouped(failed)) <small>5xx</small>"))
    for (name, quantile) in StatusNames.quantiles {
      facts.append(fact(name, HTML.latency(LatencyBuckets.quantile(quantile, of: counts.latencies))))
    }
    return group.threads > 0 ? facts + load(group) : facts
  }

  private func load(_ group: StatusReport.Group) -> [HTML] {
    let threads = group.busyThreads + group.idleThreads
    let busy = fact(
      "Threads busy", isBad: threads > 0 && group.idleThreads == 0,
      "\(group.busyThreads) <small>of \(threads)</small>\(meter(group.busyThreads, threads))")
    if group.isEmbedded { return [busy] }
    let wait: HTML = group.oldestWait.map { " <small>for \(HTML.duration($0))</small>" } ?? ""
    return [busy, fact("Waiting", isBad: group.waiting > 0, "\(group.waiting)\(wait)")]
  }

  private func fact(_ name: String, isBad: Bool = false, _ value: HTML) -> HTML {
    let opening: HTML = isBad ? "<dd class=\"bad\">" : "<dd>"
    return "<div><dt>\(name)</dt>\(opening)\(value)</dd></div>\n"
  }

  private func meter(_ value: Int, _ whole: Int) -> HTML {
    let percent = whole > 0 ? min(max(value, 0), whole) * 100 / whole : 0
    return "<i class=\"meter\"><b style=\"width:\(percent)%\"></b></i>"
  }

  private func notes(_ group: StatusReport.Group) -> [HTML] {
    let counts = group.counts
    var notes: [HTML] = []
    if group.state == .failed {
      notes.append("<li class=\"bad\">It could not be started; the log of httpd's start says why.</li>\n")
    }
    let statuses = counts.statuses.indices.filter { counts.statuses[$0] > 0 }
    if statuses.contains(where: { $0 != 2 }) {
      let list = times(statuses.map { (StatusNames.statuses[$0], counts.statuses[$0]) })
      notes.append("<li><em>Statuses:</em> \(list).</li>\n")
    }
    let failures = RequestCause.allCases.filter { counts.causes[$0.rawValue] > 0 }
    if !failures.isEmpty {
      let last: HTML = counts.lastFailure.map { ". Last: \($0.cause.sentence), \(HTML.duration(now &- $0.at)) ago" } ?? ""
      let list = times(failures.map { ($0.name, counts.causes[$0.rawValue]) })
      notes.append("<li><em>Failures:</em> \(list)\(last).</li>\n")
    }
    if !group.ends.isEmpty {
      notes.append("<li><em>Process ends:</em> \(times(group.ends.map { ($0.reason, $0.count) })).</li>\n")
    }
    if let end = group.lastEnd {
      let opening: HTML = end.isNormal ? "<li>" : "<li class=\"bad\">"
      let age = HTML.duration(now &- end.at)
      notes.append("\(opening)<em>Last end:</em> process \(end.pid) \(end.sentence), \(age) ago.</li>\n")
    }
    for preloader in group.preloaders {
      let age = HTML.duration(now &- preloader.started)
      let size: HTML = preloader.residentBytes.map { ", \(HTML.megabytes($0))" } ?? ""
      notes.append(
        "<li><em>Preloader:</em> process \(preloader.pid), \(preloader.state), up \(age)\(size).</li>\n"
      )
    }
    if let retry = group.retry {
      notes.append("<li class=\"bad\"><em>Next start:</em> in \(HTML.duration(retry &- now)).</li>\n")
    }
    return notes
  }

  /// "3 × worker died, 1 × overdue".
  private func times(_ counts: [(String, UInt64)]) -> HTML {
    HTML(counts.map { name, count in "\(HTML.grouped(count)) × \(HTML.words(name))" }, separator: ", ")
  }

  // MARK: its processes

  private func processes(_ group: StatusReport.Group) -> HTML {
    guard let first = group.processes.first else { return "<p class=\"none\">No processes.</p>\n" }
    let figures = StatusReport.Process.figures(now: now).filter { $0.label != nil }
    let headings = figures.map { cell("th", $0, first, "\($0.label ?? "")") }
    let rows = group.processes.map { process -> HTML in
      "<tr>\(HTML(figures.map { cell("td", $0, process, value($0.value(process))) }))</tr>\n"
    }
    return """
      <div class="scroll"><table>
      <thead><tr>\(HTML(headings))</tr></thead>
      <tbody>
      \(HTML(rows))</tbody>
      </table></div>

      """
  }

  /// Quantities stand at the right.
  private func cell(
    _ tag: String, _ figure: StatusFigure<StatusReport.Process>, _ process: StatusReport.Process, _ content: HTML
  ) -> HTML {
    let alignment: HTML = figure.value(process).isQuantity ? " class=\"n\"" : ""
    return "<\(tag)\(alignment)>\(content)</\(tag)>"
  }

  private func value(_ value: FigureValue) -> HTML {
    switch value {
    case .text(let string): "\(string)"
    case .number(let number): "\(number)"
    case .count(let number): HTML.grouped(number)
    case .counts(let counts, let total): HTML.grouped(total ?? counts.reduce(0) { $0 &+ $1.count })
    case .time(let microseconds): HTML.duration(microseconds)
    case .bytes(let number): HTML.megabytes(number)
    case .absent, .flag, .durations, .object: "–"
    }
  }
}

extension StatusReport.GroupState {
  /// An administrator should look after the group.
  fileprivate var isTrouble: Bool {
    switch self {
    case .degraded, .down, .failed: true
    case .serving, .sleeping, .starting, .service: false
    }
  }
}
