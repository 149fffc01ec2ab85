import RequestCounting
import WSGICore

/// The report as a page for people: no script, nothing from elsewhere, light or dark as the reader's system is.
///
/// Groups that need somebody come first and whole; then each that is at work has a line, and those that have nothing to do are
/// folded. A group's name leads to a page of that group alone: what a reader has unfolded would be folded again by the next
/// refresh.
public struct StatusPage {
  let now: Int64
  private let query: StatusQuery

  public static func render(_ report: StatusReport, _ query: StatusQuery) -> [UInt8] {
    Array(StatusPage(now: report.now, query: query).document(report).text.utf8)
  }

  private func document(_ report: StatusReport) -> HTML {
    let refreshing: HTML = query.refresh > 0 ? "<meta http-equiv=\"refresh\" content=\"\(query.refresh)\">\n" : ""
    let style = HTML(stringLiteral: String(decoding: PackageResources.status_css, as: UTF8.self))
    let groups = ranked(report)
    let troubled = groups.count { $0.health > .good }
    let trouble: HTML = troubled > 0 ? "(\(troubled)!) " : ""
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <meta name="robots" content="noindex">
      \(refreshing)<title>\(trouble)mod_wsgi · \(report.host)</title>
      <style>
      \(style)</style>
      </head>
      <body>
      \(header(report))<main>
      \(content(groups))</main>
      <footer><p>\(report.software)</p><p>Also as <a href="?json">JSON</a>, <a href="?openmetrics">OpenMetrics</a> and \
      <a href="?prometheus">Prometheus text</a>.</p></footer>
      </body>
      </html>

      """
  }

  private func header(_ report: StatusReport) -> HTML {
    let generation: HTML = report.generation > 0 ? " · generation \(report.generation)" : ""
    let refreshing: HTML =
      query.refresh > 0
      ? "every \(query.refresh) s, <a href=\"\(link(refresh: 0))\">hold</a>"
      : "<a href=\"\(link(refresh: StatusQuery.ordinaryRefresh))\">refresh every \(StatusQuery.ordinaryRefresh) s</a>"
    let all: HTML = query.group == nil ? "" : "<a href=\"?\">all groups</a> · "
    let age = HTML.duration(report.now &- report.started)
    return """
      <header>
      <h1>mod_wsgi <span>\(report.host)</span></h1>
      <p>\(all)\(HTML.clock(report.now)) UTC · counting for \(age)\(generation) · \(refreshing)</p>
      </header>

      """
  }

  /// The same page with other wishes.
  private func link(refresh: Int, showsIdle: Bool? = nil) -> HTML {
    var wishes: [HTML] = []
    if let group = query.group { wishes.append("group=\(group.percentEncoded)") }
    if showsIdle ?? query.showsIdle { wishes.append("idle") }
    if refresh != StatusQuery.ordinaryRefresh { wishes.append("refresh=\(refresh)") }
    return "?\(HTML(wishes, separator: "&amp;"))"
  }

  // MARK: all groups

  private typealias Ranked = (group: StatusReport.Group, health: GroupHealth)

  /// Worst first; of several that are as bad, those where most waits.
  private func ranked(_ report: StatusReport) -> [Ranked] {
    let groups = report.groups.enumerated().map { (place: $0.offset, group: $0.element, health: $0.element.health(now: now)) }
    return groups.sorted { one, other in
      if one.health != other.health { return one.health > other.health }
      if one.group.waiting != other.group.waiting { return one.group.waiting > other.group.waiting }
      return one.place < other.place
    }.map { ($0.group, $0.health) }
  }

  private func content(_ groups: [Ranked]) -> HTML {
    if groups.isEmpty { return "<p class=\"none\">No process groups, and no request so far.</p>\n" }
    if groups.count == 1 { return HTML(groups.map { StatusCard(now: now, group: $0.group, health: $0.health).html }) }
    let troubled = groups.filter { $0.health > .good }
    let good = groups.filter { $0.health == .good }
    let idle = groups.filter { $0.health == .idle }
    return """
      \(summary(groups))\(HTML(troubled.map { StatusCard(now: now, group: $0.group, health: $0.health).html }))\
      \(good.isEmpty ? "" : lines(good))\(idle.isEmpty ? "" : folded(idle))
      """
  }

  private func summary(_ groups: [Ranked]) -> HTML {
    func count(_ health: GroupHealth, _ name: HTML) -> HTML {
      let number = groups.count { $0.health == health }
      return number > 0 ? figure(name, health, "\(number)") : ""
    }
    let minute = groups.compactMap(\.group.lastMinute).reduce(RequestInterval(), +)
    let busy = groups.reduce(0) { $0 + $1.group.busyThreads }
    let threads = groups.reduce(busy) { $0 + $1.group.idleThreads }
    let waiting = groups.reduce(0) { $0 + $1.group.waiting }
    return """
      <dl class="summary">
      \(count(.bad, "Failing"))\(count(.warning, "Warnings"))\(count(.good, "Healthy"))\(count(.idle, "Idle"))\
      \(figure("Requests", nil, HTML.rate(minute.ended, seconds: 60)))\
      \(figure("5xx in a minute", minute.failed > 0 ? .bad : nil, HTML.grouped(minute.failed)))\
      \(figure("Mean time", nil, HTML.latency(minute.mean)))\
      \(figure("Threads busy", nil, "\(busy) <small>of \(threads)</small>"))\
      \(figure("Waiting", waiting > 0 ? .warning : nil, "\(waiting)"))\
      </dl>

      """
  }

  private func figure(_ name: HTML, _ health: GroupHealth?, _ value: HTML) -> HTML {
    let opening: HTML = health.map { "<div class=\"\($0.name)\">" } ?? "<div>"
    return "\(opening)<dt>\(name)</dt><dd>\(value)</dd></div>\n"
  }

  private func lines(_ groups: [Ranked]) -> HTML { "<ul class=\"lines\">\n\(HTML(groups.map { line($0.group) }))</ul>\n" }

  private func line(_ group: StatusReport.Group) -> HTML {
    let chart = StatusChart(group.history)
    let minute = group.lastMinute ?? RequestInterval()
    let failed: HTML = minute.failed > 0 ? "<span class=\"bad\">\(HTML.grouped(minute.failed)) <small>5xx</small></span>" : ""
    let threads = group.busyThreads + group.idleThreads
    let load: HTML =
      threads > 0 ? "<span>\(group.busyThreads)<small>/\(threads) busy</small></span>" : ""
    return """
      <li>\(name(group)) \(StatusCard.state(of: group))\
      <span class="chart">\(chart.isEmpty ? "" : chart.rate("requests in the last ten minutes"))</span>\
      <span>\(HTML.rate(minute.ended, seconds: 60))</span>\
      <span>\(HTML.latency(minute.mean))</span>\(load)\(failed)</li>

      """
  }

  private func folded(_ groups: [Ranked]) -> HTML {
    let opening: HTML = query.showsIdle ? " open" : ""
    let keeping: HTML =
      query.showsIdle || query.refresh == 0
      ? "" : "<p class=\"none\"><a href=\"\(link(refresh: query.refresh, showsIdle: true))\">Keep open</a></p>\n"
    let items = groups.map { group, _ -> HTML in
      "<li>\(name(group)) <small>\(group.state.rawValue), \(HTML.grouped(group.counts.total)) requests</small></li>\n"
    }
    return """
      <details\(opening)><summary>\(groups.count) idle \(groups.count == 1 ? "group" : "groups")</summary>
      \(keeping)<ul class="names">
      \(HTML(items))</ul></details>

      """
  }

  private func name(_ group: StatusReport.Group) -> HTML { StatusCard.name(of: group) }
}
