import RequestCounting
import WSGICore

/// How a group is, for people: the page has those first that need somebody.
enum GroupHealth: Int, Comparable {
  /// It has nothing to do.
  case idle
  case good
  /// Somebody should look after it.
  case warning
  /// Requests fail, or the code that is meant to run does not.
  case bad

  static func < (one: GroupHealth, other: GroupHealth) -> Bool { one.rawValue < other.rawValue }

  var name: String {
    switch self {
    case .idle: "idle"
    case .good: "good"
    case .warning: "warning"
    case .bad: "bad"
    }
  }
}

extension StatusReport.GroupState {
  /// As far as the state alone says.
  var health: GroupHealth {
    switch self {
    case .down, .failed: .bad
    case .degraded, .saturated, .stopped: .warning
    case .serving, .starting, .service: .good
    case .sleeping: .idle
    }
  }
}

extension StatusReport.Group {
  /// The group's problems in words, worst first.
  func problems(now: Int64) -> [(health: GroupHealth, text: HTML)] {
    var problems: [(health: GroupHealth, text: HTML)] = []
    let next: HTML = retry.map { " The next is started in \(HTML.duration($0 &- now))." } ?? ""
    switch state {
    case .failed: problems.append((.bad, "It could not be started; the log of httpd's start says why."))
    case .down: problems.append((.bad, "No process takes requests.\(next)"))
    case .degraded:
      let ready = processes.count { $0.state == .ready }
      problems.append((.warning, "\(ready) of \(wantedProcesses) processes take requests.\(next)"))
    case .stopped: problems.append((.warning, "It was stopped: requests are answered 503 until it is started."))
    case .serving, .saturated, .starting, .sleeping, .service:
      if retry != nil { problems.append((.warning, "A process is missing.\(next)")) }
    }
    if let load = lastLoad, load.outcome != .loaded {
      let consequence: HTML =
        load.outcome == .kept ? "The code from before goes on serving." : "Requests for the script are answered 500."
      problems.append((.bad, "The last load failed \(HTML.duration(now &- load.at)) ago: <q>\(load.text)</q>. \(consequence)"))
    }
    if waiting > 0 {
      let requests: HTML = waiting == 1 ? "1 request waits" : "\(HTML.grouped(UInt64(clamping: waiting))) requests wait"
      let wait: HTML = oldestWait.map { ", the first for \(HTML.duration($0))" } ?? ""
      let all: HTML = busyThreads == 1 ? "The only thread is busy; " : "All \(busyThreads) threads are busy; "
      let busy: HTML = state == .saturated ? all : ""
      problems.append((state == .saturated ? .warning : .good, "\(busy)\(requests)\(wait)."))
    }
    if let end = lastEnd, isNews(end, now: now) {
      problems.append((.warning, "Process \(end.pid) \(end.sentence), \(HTML.duration(now &- end.at)) ago."))
    }
    return problems.sorted { $0.health > $1.health }
  }

  /// An abnormal end is a problem for ten minutes.
  func isNews(_ end: StatusReport.End, now: Int64) -> Bool { !end.isNormal && now &- end.at < Self.recent }

  /// In microseconds.
  private static let recent: Int64 = 600_000_000

  func health(now: Int64) -> GroupHealth {
    if let worst = problems(now: now).first?.health, worst > .good { return worst }
    return state == .serving && !isInUse && !history.isEmpty ? .idle : state.health
  }
}
