import RequestCounting
import Testing
import WSGICore

@testable import WSGIStatus

private let hostile = "<b>&\"'\\\n\u{1b}\u{2028}é"

private func sample() -> StatusReport {
  var report = StatusReport(
    now: 1_000_000_000_000_000, started: 999_999_998_500_000, generation: 2, host: hostile, software: "Apache/2.4")
  var group = StatusReport.Group(name: hostile, isEmbedded: false, state: .degraded, wantedProcesses: 2, threads: 3)
  group.counts.statuses = [1, 0, 1234, 0, 5, 6]
  group.counts.causes[RequestCause.workerEnded.rawValue] = 6
  group.counts.latencies[0] = 1240
  group.counts.latencies[10] = 6
  group.counts.duration = 2_500_000
  group.counts.lastFailure = .init(cause: .workerEnded, at: 999_999_999_000_000)
  group.inFlight = 4
  group.waiting = 1
  group.oldestWait = 1_250_000
  group.busyThreads = 3
  group.ends = [("crash_signal", 6)]
  group.lastEnd = .init(pid: 41, at: 999_999_999_000_000, sentence: "was killed by \(hostile)", isNormal: false)
  group.retry = 1_000_000_002_000_000
  var process = StatusReport.Process(pid: 42, state: .ready, started: 999_999_990_000_000)
  process.busyThreads = 3
  process.idleThreads = 0
  process.requests = 1240
  process.residentBytes = 7 << 19
  group.processes = [process, StatusReport.Process(pid: 43, state: .starting, started: 1_000_000_000_000_000)]
  group.preloaders = [
    .init(pid: 50, hasLoaded: true, started: 999_999_990_000_000), .init(pid: 51, hasLoaded: false, started: 999_999_998_000_000),
  ]
  group.preloaders[0].residentBytes = 9 << 19
  group.user = hostile
  group.python = "3.11.2"
  group.lastLoad = .init(outcome: .kept, at: 999_999_940_000_000, text: "/a.wsgi: \(hostile)")
  group.history = [.init(ended: 120, failed: 2, duration: 600_000), .init(), .init(ended: 1, failed: 0, duration: 9)]
  group.running = [
    .init(
      label: .init(method: Array("GET".utf8), path: Array("/\(hostile)".utf8) + [0xFF], isCut: true), age: 1_250_000,
      state: .running),
    .init(label: .init(method: Array("<i>".utf8), path: nil), age: nil, state: .receiving),
    .init(label: nil, age: 5, state: .waiting),
  ]
  let embedded = StatusReport.Group(name: "embedded", isEmbedded: true, state: .serving, wantedProcesses: 1, threads: 8)
  report.groups = [group, embedded]
  return report
}

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

private func rendered(_ report: StatusReport, _ query: String = "") -> String {
  text(StatusPage.render(report, StatusQuery(query, accept: "")))
}

extension String {
  /// Where `text` begins; -1: nowhere.
  fileprivate func place(of text: String) -> Int {
    let (bytes, wanted) = (Array(utf8), Array(text.utf8))
    return bytes.indices.first { bytes[$0...].starts(with: wanted) } ?? -1
  }
}

struct RenderingTests {
  private static let held = rendered(sample(), "refresh=0")

  @Test func jsonIsEscapedAndComplete() {
    let json = text(StatusJSON.render(sample()))
    #expect(json.contains(#""name":"\u003cb\u003e\u0026\"'\\\u000a\u001b\u2028é""#))
    #expect(json.contains(#""start_time":999999998.5"#))
    #expect(json.contains(#""requests":{"total":1246,"none":1,"1xx":0,"2xx":1234,"3xx":0,"4xx":5,"5xx":6}"#))
    #expect(json.contains(#""oldest_wait":1.25"#))
    #expect(json.contains(#""last_load":{"outcome":"kept","time":999999940,"text":"/a.wsgi: \u003cb"#))
    #expect(json.contains(#""last_minute":{"requests":120,"failed":2,"mean":0.005}"#))
    #expect(json.contains(#""running":[{"method":"GET","path":"/\u003cb\u003e"#))
    #expect(json.contains(#"{"method":"\u003ci\u003e","path":null,"age":null,"state":"receiving"},"#))
    #expect(json.contains(#"{"method":null,"path":null,"age":0.000005,"state":"waiting"}]"#))
    #expect(json.contains(#""process_ends":{"crash_signal":6}"#))
    #expect(json.contains(#""last_failure":{"cause":"worker_died","time":999999999}"#))
    #expect(json.contains(#""latency":{"sum":2.5,"p50":0.00005,"p95":0.000095,"#))
    #expect(json.contains(#"{"pid":43,"state":"starting","start_time":1000000000,"uptime":0,"threads_busy":null,"#))
    #expect(json.contains(#""name":"","mode":"embedded","state":"serving""#))
    #expect(json.contains(#"{"pid":51,"state":"loading","start_time":999999998,"uptime":2,"resident_bytes":null}]"#))
    // Balanced, and neither a missing comma nor one too many.
    #expect(json.filter { $0 == "{" }.count == json.filter { $0 == "}" }.count)
    for wrong in ["{,", "[,", ",}", ",]", "}{", ",,", "}\""] { #expect(!json.contains(wrong), "\(wrong)") }
  }

  @Test func thePageIsEscaped() {
    let page = rendered(sample(), "refresh=7")
    #expect(!page.contains("<b>&") && !page.contains("<i>"))
    let name = "&lt;b&gt;&amp;&quot;&#39;\\\u{FFFD}\u{FFFD}\u{2028}é"
    #expect(
      page.contains(
        "href=\"?group=%3Cb%3E%26%22%27%5C%0A%1B%E2%80%A8%C3%A9\">\(name)</a> <span class=\"state warning\">degraded</span>"))
    #expect(page.contains("<td>running</td><td class=\"path\">GET /\(name)\u{FFFD}…</td>"))
    #expect(page.contains("&lt;i&gt; <span class=\"none\">path withheld</span>"))
    #expect(page.contains("The last load failed 1 min 0 s ago: <q>/a.wsgi: \(name)</q>. The code from before goes on serving."))
    #expect(page.contains("<span>user \(name)</span> · <span>Python 3.11.2</span>"))
    // It cannot be typed.
    #expect(!page.contains("wsgictl"))
    #expect(page.contains("<title>(1!) mod_wsgi · &lt;b&gt;"))
    #expect(page.contains("content=\"7\""))
    #expect(!Self.held.contains("http-equiv"))
    #expect(page.contains("1,246"))
    #expect(page.contains("6 × worker died. Last: a process died while handling the request, 1.0 s ago."))
    #expect(page.contains("<li class=\"warning\">Process 41 was killed by &lt;b&gt;"))
    #expect(page.contains("2001-09-09 01:46:40 UTC"))
    #expect(page.contains("3.5 MB"))
    #expect(page.contains("<em>Preloader:</em> process 50, loaded, up 10 s, 4.5 MB.</li>"))
    #expect(page.contains("1,234 × 2xx, 5 × 4xx, 6 × 5xx"))
  }

  @Test func groupsThatNeedSomebodyComeFirst() {
    var report = StatusReport(now: 1_000_000_000, started: 0, generation: 0, host: "h", software: "s")
    for (name, state) in [("calm", StatusReport.GroupState.sleeping), ("busy", .serving), ("full", .saturated), ("dead", .down)] {
      report.groups.append(.init(name: name, isEmbedded: false, state: state, wantedProcesses: 1, threads: 1))
    }
    report.groups[0].counts.statuses[2] = 9
    let page = rendered(report)
    let places = ["dead", "full", "busy", "calm"].map { page.place(of: ">\($0)</a>") }
    #expect(places == places.sorted() && places.allSatisfy { $0 >= 0 })
    #expect(page.contains("<title>(2!)") && page.contains("<summary>1 idle group</summary>"))
    #expect(page.contains("<code>wsgictl doctor</code> <code>wsgictl reload dead</code>"))
    #expect(!page.contains("<details open>"))
    #expect(rendered(report, "idle&refresh=9").contains("<details open>"))
  }

  /// A page of one group has all of it, and links that stay with it.
  @Test func aGroupAlone() {
    var report = StatusReport(now: 1_000_000_000, started: 0, generation: 0, host: "h", software: "s")
    report.groups = [.init(name: "it's", isEmbedded: false, state: .sleeping, wantedProcesses: 0, threads: 1)]
    let page = rendered(report, "group=it%27s")
    #expect(page.contains("<section class=\"idle\">") && !page.contains("<details"))
    #expect(page.contains("<a href=\"?group=it%27s&amp;refresh=0\">hold</a>"))
    #expect(page.contains("<code>wsgictl reload &#39;it&#39;\\&#39;&#39;s&#39;</code>"))
  }

  @Test func chartsAreLines() {
    let chart = StatusChart([
      .init(ended: 4, failed: 1, duration: 40), .init(), .init(ended: 2, failed: 0, duration: 40), .init(ended: 9),
    ])
    #expect(chart.peak == 4 && chart.slowest == 20)
    #expect(
      chart.rate("x").text.contains("d=\"M0 0l0 0L10 100L20 50\"")
        && chart.rate("x").text.contains("class=\"failed\" d=\"M0 75l0 0\""))
    #expect(chart.latency("x").text.contains("d=\"M0 50l0 0M20 0l0 0\""))
    #expect(
      StatusChart([]).isEmpty && StatusChart([.init(), .init(ended: 1)]).isEmpty && !StatusChart([]).rate("x").text.isEmpty)
  }

  @Test(arguments: [
    (UInt64(0), "0 <small>/min</small>"), (59, "59 <small>/min</small>"), (60, "1.0 <small>/s</small>"),
    (754, "12.5 <small>/s</small>"), (600_000, "10,000 <small>/s</small>"),
  ])
  func rates(_ number: UInt64, _ expected: String) {
    #expect(HTML.rate(number, seconds: 60).text == expected)
  }

  @Test func openMetricsHasUnitsTimesOfCreationAndAnEnd() {
    let metrics = text(StatusMetrics.render(sample(), isOpenMetrics: true))
    let name = "<b>&\\\"'\\\\\\n\u{1b}\u{2028}é"
    #expect(metrics.contains("# TYPE wsgi_requests counter\n"))
    #expect(metrics.contains("wsgi_requests_total{group=\"\(name)\",status=\"2xx\"} 1234\n"))
    #expect(metrics.contains("wsgi_requests_created{group=\"\(name)\",status=\"2xx\"} 999999998.5\n"))
    #expect(metrics.contains("wsgi_preloaders{group=\"\(name)\",state=\"loading\"} 1\n"))
    #expect(metrics.contains("wsgi_preloader_resident_memory_bytes{group=\"\(name)\",pid=\"50\"} 4718592\n"))
    #expect(metrics.contains("wsgi_group_state{group=\"\(name)\",state=\"degraded\"} 1\n"))
    #expect(metrics.contains("wsgi_group_state{group=\"\(name)\",state=\"serving\"} 0\n"))
    #expect(metrics.contains("wsgi_python_info{group=\"\(name)\",version=\"3.11.2\"} 1\n"))
    #expect(metrics.contains("wsgi_last_load{group=\"\(name)\",outcome=\"kept\"} 1\n"))
    #expect(metrics.contains("# UNIT wsgi_request_duration_seconds seconds\n"))
    #expect(metrics.contains("wsgi_request_duration_seconds_bucket{group=\"\(name)\",le=\"0.0001\"} 1240\n"))
    #expect(metrics.contains("wsgi_request_duration_seconds_bucket{group=\"\(name)\",le=\"+Inf\"} 1246\n"))
    #expect(metrics.contains("wsgi_request_duration_seconds_sum{group=\"\(name)\"} 2.5\n"))
    #expect(metrics.contains("wsgi_process_resident_memory_bytes{group=\"\(name)\",pid=\"42\"} 3670016\n"))
    #expect(metrics.hasSuffix("# EOF\n"))
  }

  @Test func theOlderFormatHasNeither() {
    let metrics = text(StatusMetrics.render(sample(), isOpenMetrics: false))
    #expect(metrics.contains("# TYPE wsgi_requests_total counter\n"))
    for absent in ["_created", "# EOF", "# UNIT"] { #expect(!metrics.contains(absent)) }
  }

  @Test func formatsHaveTheirTypes() {
    #expect(StatusFormat.openMetrics.contentType == "application/openmetrics-text; version=1.0.0; charset=utf-8")
    #expect(StatusFormat.prometheus.contentType == "text/plain; version=0.0.4; charset=utf-8")
  }

  @Test(arguments: [
    ("", StatusFormat.html, 5), ("json", .json, 5), ("openmetrics", .openMetrics, 5), ("prometheus", .prometheus, 5),
    ("refresh=0", .html, 0), ("refresh=-3", .html, 0), ("refresh=99999", .html, 3600), ("x&refresh=9&json", .json, 9),
    ("refresh=99999999999999999999", .html, 5), ("refresh=\"><script>", .html, 5), ("&&=", .html, 5),
    ("json=", .json, 5), ("openmetrics=", .openMetrics, 5), ("prometheus=&refresh=1", .prometheus, 1), ("html=", .html, 5),
    ("openmetrics=no", .html, 5),
  ])
  func queries(_ text: String, _ format: StatusFormat, _ refresh: Int) {
    let query = StatusQuery(text, accept: "")
    #expect(query.format == format && query.refresh == refresh)
  }

  @Test(arguments: [
    ("ready=shop", "shop"), ("ready=", ""), ("ready=%25%7BGLOBAL%7d", "%{GLOBAL}"), ("ready=a+b", "a+b"), ("ready=100%", "100%"),
    ("ready=%zz%4", "%zz%4"), ("x&ready=users/alice&json", "users/alice"), ("ready=%ff%3Cb%3e", "\u{FFFD}<b>"),
    ("ready=a=b", "a=b"),
    ("ready=%C3%A9", "é"), ("ready", nil), ("Ready=x", nil),
  ])
  func aGroupIsNamed(_ text: String, _ name: String?) {
    #expect(StatusQuery(text, accept: "").ready == name)
  }

  @Test func aNamedFormatGoesBeforeAnAcceptedOne() {
    #expect(StatusQuery("refresh=3", accept: "application/json").format == .json)
    #expect(StatusQuery("html", accept: "application/json").format == .html)
    #expect(StatusQuery("prometheus=", accept: "text/html").format == .prometheus)
  }

  @Test(arguments: [
    ("", StatusFormat.html), ("*/*", .html), ("text/*", .html), ("image/png", .html), ("application/*", .json),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", .html),
    ("application/json", .json), ("application/json, text/plain, */*", .json), ("text/plain", .prometheus),
    // Prometheus 2.4, 2.42 and 3.
    ("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .prometheus),
    (
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
    ),
    (
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
        + "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", .openMetrics
    ),
    ("application/openmetrics-text;q=0.5, text/plain; version=0.0.4", .prometheus),
    ("APPLICATION/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.3", .openMetrics),
    ("text/html;q=0, */*;q=0.1", .json), ("text/html;q=0.2, */*", .json), ("text/plain;version=1.0.0", .html),
    // What is no quality, and what is no media range, counts for nothing.
    ("application/json;q=2", .html), ("application/json;q=nan, text/plain;q=0.001", .prometheus),
    ("application/json;q=-1", .html), ("json", .html), ("a/b/c, ;;=, /, ,application/json;", .json),
    ("application/json;q=1e-999", .html), ("application/json;=;q", .json), ("\u{FFFD}/\u{FFFD}", .html),
  ])
  func acceptedFormats(_ header: String, _ expected: StatusFormat) {
    #expect(StatusFormat(accepting: header) == expected)
  }

  @Test(arguments: [
    (Int64(0), "0.0 s"), (-5, "0.0 s"), (9_950_000, "9.9 s"), (59_999_999, "59 s"), (61_000_000, "1 min 1 s"),
    (7_260_000_000, "2 h 1 min"), (273_600_000_000, "3 d 4 h"),
  ])
  func durations(_ microseconds: Int64, _ expected: String) {
    #expect(HTML.duration(microseconds).text == expected)
  }

  @Test(arguments: [
    (Int64(0), "1970-01-01 00:00:00"), (951_782_400, "2000-02-29 00:00:00"), (1_709_251_199, "2024-02-29 23:59:59"),
    (1_735_689_599, "2024-12-31 23:59:59"), (4_107_542_400, "2100-03-01 00:00:00"),
  ])
  func clocks(_ seconds: Int64, _ expected: String) {
    #expect(HTML.clock(seconds * 1_000_000).text == expected)
  }

  /// Numbers that come from memory which others write may be anything.
  @Test func numbersOfAnySizeAreShown() {
    var report = sample()
    report.groups[0].counts.statuses = [UInt64](repeating: .max, count: 6)
    report.groups[0].counts.latencies = [UInt64](repeating: .max, count: LatencyBuckets.count)
    report.groups[0].counts.causes = [UInt64](repeating: .max, count: RequestCause.allCases.count)
    report.groups[0].counts.duration = .max
    report.groups[0].counts.lastFailure = .init(cause: .refused, at: .min)
    report.groups[0].oldestWait = .min
    report.groups[0].retry = .min
    report.groups[0].processes[0].requests = .max
    report.groups[0].processes[0].oldestRequest = .min
    report.groups[0].processes[0].residentBytes = .max
    report.groups[0].processes[0].started = .min
    report.groups[0].history = [RequestInterval](repeating: .init(ended: .max, failed: .max, duration: .max), count: 9)
    report.groups[0].processes[0].processorTime = .min
    report.groups[0].processes[0].processorShare = .min
    report.groups[0].lastLoad?.at = .min
    report.groups[0].running[0].age = .min
    #expect(!rendered(report).isEmpty)
    report.groups[0].processes[0].processorShare = .max
    #expect(!rendered(report, "group=x").isEmpty)
    #expect(!StatusJSON.render(report).isEmpty)
    #expect(!StatusMetrics.render(report, isOpenMetrics: true).isEmpty)
  }
}
