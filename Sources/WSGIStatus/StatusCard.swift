import RequestCounting
import WSGICore

/// All that the page tells of one group.
struct StatusCard {
  let now: Int64
  let group: StatusReport.Group
  let health: GroupHealth

  var html: HTML {
    """
    <section class="\(health.name)">
    <h2>\(StatusCard.name(of: group)) \(StatusCard.state(of: group))\(failedLoad)</h2>
    <p class="about">\(about)</p>
    \(problems)<dl>
    \(HTML(facts))</dl>
    \(charts)\(running)\(processes)\(notes)\(commands)</section>

    """
  }

  /// The name, which leads to the page of that group alone.
  static func name(of group: StatusReport.Group) -> HTML {
    let name = group.isEmbedded ? "%{GLOBAL}" : group.name
    let shown: HTML = group.isEmbedded ? "Embedded mode" : "\(group.name)"
    return "<a class=\"name\" href=\"?group=\(name.percentEncoded)\">\(shown)</a>"
  }

  static func state(of group: StatusReport.Group) -> HTML {
    "<span class=\"state \(group.state.health.name)\">\(group.state.rawValue)</span>"
  }

  private var failedLoad: HTML {
    switch group.lastLoad?.outcome {
    case .failed: " <span class=\"state bad\">does not load</span>"
    case .kept: " <span class=\"state bad\">reload failed</span>"
    case .loaded, nil: ""
    }
  }

  private var about: HTML {
    var parts: [HTML] = []
    if let user = group.user { parts.append("user \(user)") }
    if let python = group.python { parts.append("Python \(python)") }
    if let load = group.lastLoad, load.outcome == .loaded { parts.append("code loaded \(HTML.duration(now &- load.at)) ago") }
    let shares = group.processes.compactMap(\.processorShare)
    if !shares.isEmpty { parts.append("CPU \(HTML.percent(shares.reduce(0, &+)))") }
    let memory = group.processes.compactMap(\.residentBytes).reduce(0, &+)
    if memory > 0 { parts.append("\(HTML.megabytes(memory)) resident") }
    return HTML(parts.map { "<span>\($0)</span>" }, separator: " · ")
  }

  private var problems: HTML {
    let problems = group.problems(now: now)
    if problems.isEmpty { return "" }
    return "<ul class=\"problems\">\n\(HTML(problems.map { "<li class=\"\($0.health.name)\">\($0.text)</li>\n" }))</ul>\n"
  }

  // MARK: figures

  private var facts: [HTML] {
    let counts = group.counts
    let failed = counts.statuses[5]
    var facts = StatusReport.Group.figures.compactMap { figure in
      figure.label.map { fact($0, HTML.value(figure.value(group))) }
    }
    facts.append(fact("Failed", isBad: failed > 0, "\(HTML.grouped(failed)) <small>5xx</small>"))
    for (name, quantile) in StatusNames.quantiles {
      facts.append(fact(name, HTML.latency(LatencyBuckets.quantile(quantile, of: counts.latencies))))
    }
    return group.threads > 0 ? facts + load : facts
  }

  private var load: [HTML] {
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

  private var charts: HTML {
    let chart = StatusChart(group.history)
    if chart.isEmpty { return "" }
    let minute = group.lastMinute ?? RequestInterval()
    let seconds = RequestInterval.microseconds / 1_000_000
    return """
      <div class="charts">
      <figure>\(chart.rate("requests in the last ten minutes"))<figcaption>Requests: \
      \(HTML.rate(minute.ended, seconds: 60)), at most \(HTML.rate(chart.peak, seconds: UInt64(clamping: seconds))) \
      in ten minutes</figcaption></figure>
      <figure>\(chart.latency("mean time of a request in the last ten minutes"))<figcaption>Mean time: \
      \(HTML.latency(minute.mean)), at most \(HTML.latency(chart.slowest))</figcaption></figure>
      </div>

      """
  }

  // MARK: what runs

  private var running: HTML {
    if group.running.isEmpty { return "" }
    let withheld: HTML = "<span class=\"none\">path withheld</span>"
    let rows = group.running.map { request -> HTML in
      let method = request.label.map { String(decoding: $0.method, as: UTF8.self) } ?? ""
      let path: HTML = request.path.map { "\($0)" } ?? withheld
      let age: HTML = request.age.map { HTML.duration($0) } ?? "–"
      return "<tr><td class=\"n\">\(age)</td><td>\(request.state.rawValue)</td><td class=\"path\">\(method) \(path)</td></tr>\n"
    }
    let more = group.inFlight - group.running.count
    let rest: HTML = more > 0 ? "<p class=\"none\">and \(more) more</p>\n" : ""
    return """
      <div class="scroll"><table class="requests">
      <thead><tr><th class="n">Age</th><th>State</th><th>Request</th></tr></thead>
      <tbody>
      \(HTML(rows))</tbody>
      </table>\(rest)</div>

      """
  }

  private var processes: HTML {
    guard let first = group.processes.first else { return "<p class=\"none\">No processes.</p>\n" }
    let figures = StatusReport.Process.figures(now: now).filter { $0.label != nil }
    let headings = figures.map { cell("th", $0, first, "\($0.label ?? "")") }
    let rows = group.processes.map { process -> HTML in
      "<tr>\(HTML(figures.map { cell("td", $0, process, HTML.value($0.value(process))) }))</tr>\n"
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

  // MARK: what has happened, and what can be done

  private var notes: HTML {
    let counts = group.counts
    var notes: [HTML] = []
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
    if let end = group.lastEnd, !group.isNews(end, now: now) {
      let opening: HTML = end.isNormal ? "<li>" : "<li class=\"bad\">"
      let age = HTML.duration(now &- end.at)
      notes.append("\(opening)<em>Last end:</em> process \(end.pid) \(end.sentence), \(age) ago.</li>\n")
    }
    for preloader in group.preloaders {
      let age = HTML.duration(now &- preloader.started)
      let size: HTML = preloader.residentBytes.map { ", \(HTML.megabytes($0))" } ?? ""
      notes.append("<li><em>Preloader:</em> process \(preloader.pid), \(preloader.state), up \(age)\(size).</li>\n")
    }
    return notes.isEmpty ? "" : "<ul>\n\(HTML(notes))</ul>\n"
  }

  /// "3 × worker died, 1 × overdue".
  private func times(_ counts: [(String, UInt64)]) -> HTML {
    HTML(counts.map { name, count in "\(HTML.grouped(count)) × \(HTML.words(name))" }, separator: ", ")
  }

  /// Commands to type on the server. A name with control characters cannot be shown as it is.
  private var commands: HTML {
    guard !group.isEmbedded, group.name.unicodeScalars.allSatisfy({ $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
    else {
      return ""
    }
    let verbs = group.state == .stopped ? ["start"] : (group.inFlight > 0 ? ["requests", "stacks"] : []) + ["reload", "restart"]
    let commands = verbs.map { verb -> HTML in "<code>wsgictl \(verb) \(group.name.shellQuoted)</code>" }
    let doctor: [HTML] = health == .bad ? ["<code>wsgictl doctor</code>"] : []
    return "<p class=\"commands\">\(HTML(doctor + commands, separator: " "))</p>\n"
  }
}

extension String {
  /// As a word for a shell.
  fileprivate var shellQuoted: String {
    let isPlain =
      utf8.first != UInt8(ascii: "-") && !isEmpty
      && utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "/"), UInt8(ascii: "@"), UInt8(ascii: ":"):
          true
        default: false
        }
      }
    if isPlain { return self }
    let quoted = "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    return utf8.first == UInt8(ascii: "-") ? "-- " + quoted : quoted
  }
}

extension HTML {
  /// A figure's value.
  static func value(_ value: FigureValue) -> HTML {
    switch value {
    case .text(let string), .choice(let string, _, _): "\(string)"
    case .number(let number): "\(number)"
    case .count(let number): HTML.grouped(number)
    case .counts(let counts, let total): HTML.grouped(total ?? counts.reduce(0) { $0 &+ $1.count })
    case .time(let microseconds): HTML.duration(microseconds)
    case .bytes(let number): HTML.megabytes(number)
    case .share(let thousandths): HTML.percent(thousandths)
    case .absent, .flag, .durations, .object, .list: "–"
    }
  }
}
