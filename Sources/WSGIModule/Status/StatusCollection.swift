import CHTTPD
import Glibc
import Platform
import ProcessSupervision
import RequestCounting
import WSGIConfig
import WSGICore
import WSGIStatus

/// Gathers what the status page shows: from the book of requests, the supervisor's board, and `/proc`.
struct StatusCollection {
  private let generation: Generation
  private let request: OpaquePointer
  private let now = Clock.epochMicroseconds()
  private let children: [RequestBook.Child]
  /// The supervisor answers: it is not asked for the other groups where it did not for one.
  private var mayAsk = true

  init(_ generation: Generation, _ request: OpaquePointer) {
    self.generation = generation
    self.request = request
    children = generation.book?.children() ?? []
  }

  mutating func report() -> StatusReport {
    let facts = wsgi_httpd_get_facts()
    var board = wsgi_httpd_scoreboard()
    let number = wsgi_httpd_get_scoreboard(&board) != 0 ? Int(board.generation) : 0
    let view = wsgi_httpd_look_at(request)
    var report = StatusReport(
      now: now, started: generation.started, generation: number, host: text(view.host ?? view.server_name),
      software: text(facts.description))
    for group in generation.groups {
      if group.config.template == nil {
        report.groups.append(daemonGroup(group, .init(group: group)))
      } else {
        for (name, made) in generation.tenants(of: group) { report.groups.append(daemonGroup(made, name)) }
      }
    }
    let embedded = embeddedGroup(facts)
    if generation.configuration.expectsEmbedded || embedded.counts.total > 0 || embedded.inFlight > 0 {
      report.groups.append(embedded)
    }
    return report
  }

  private func text(_ bytes: UnsafePointer<CChar>?) -> String { String(decoding: rawBytes(of: bytes), as: UTF8.self) }

  /// When the requests of a group that are in flight came, oldest first.
  private func starts(_ row: RequestBook.Row?) -> [Int64] {
    children.flatMap { $0.inFlight.filter { $0.slot == row?.slot }.map(\.started) }.sorted()
  }

  private func counts(_ row: RequestBook.Row?) -> RequestCounts {
    row.flatMap { generation.book?.counts(of: $0) } ?? RequestCounts()
  }

  // MARK: a process group

  private mutating func daemonGroup(_ group: ChildGroup, _ name: QueuesOnDemand.Name) -> StatusReport.Group {
    let settings = group.config.settings
    let threads = settings.threads
    var shown = StatusReport.Group(
      name: group.name, isEmbedded: false, state: .failed, wantedProcesses: settings.processes, threads: threads)
    shown.counts = counts(group.row)
    guard let board = group.scoreboard else { return shown }
    let state = board.state
    if group.queue != nil {
      shown.state = .init(
        threads: threads, wanted: max(state.wanted, group.config.minimumProcesses ?? settings.processes), ready: state.ready,
        isServed: state.isServed, hasFailed: state.failures > 0)
    }
    if state.retry > now { shown.retry = state.retry }
    shown.ends = board.endCounts.map { ($0.kind.name, $0.count) }
    shown.lastEnd = board.ends.first.map {
      StatusReport.End(pid: $0.pid, at: $0.ended, sentence: $0.sentence, isNormal: $0.isNormal)
    }
    let processes = board.processes
    // One without processes is not asked for: that would have its queue made.
    let held = group.isOnDemand && !processes.isEmpty && mayAsk ? HTTPDChild.current?.queues?.look(at: name) : nil
    if group.isOnDemand, !processes.isEmpty, held == nil { mayAsk = false }
    shown.processes = processes.map { process($0, threads, group.activity(of: $0, held)) }
    shown.preloaders = board.preloaders.map {
      var preloader = StatusReport.PreloadingProcess(pid: $0.pid, hasLoaded: $0.hasLoaded, started: $0.started)
      preloader.residentBytes = resident($0.pid)
      return preloader
    }
    let starts = starts(group.row)
    shown.setInFlight(
      starts.filter { $0 > 0 }, receiving: starts.count { $0 == 0 }, now: now, isSticky: group.config.stickySessions != nil)
    return shown
  }

  private func resident(_ pid: Int32) -> UInt64? { ProcessMemory.resident(of: "\(pid)").map { UInt64(clamping: $0) } }

  private func process(
    _ process: GroupScoreboard.Process, _ threads: Int, _ activity: WorkerScoreboard.Activity?
  ) -> StatusReport.Process {
    var shown = StatusReport.Process(pid: process.pid, state: process.state, started: process.started)
    shown.residentBytes = resident(process.pid)
    if let activity {
      shown.busyThreads = activity.busy
      // One that drains takes no more requests, one whose GIL is contended for none now: no thread of it waits for any.
      shown.idleThreads = process.state == .ready && !activity.isSaturated ? max(0, threads - activity.busy) : 0
      shown.requests = activity.completed
      shown.oldestRequest = activity.oldest.map { max(0, Clock.monotonicMilliseconds() &- $0) &* 1000 }
    }
    return shown
  }

  // MARK: embedded mode

  private func embeddedGroup(_ facts: wsgi_httpd_facts) -> StatusReport.Group {
    let threads = max(Int(facts.maximum_threads), 1)
    var shown = StatusReport.Group(
      name: "embedded", isEmbedded: true, state: .serving, wantedProcesses: children.count, threads: threads)
    let row = generation.embeddedRow
    shown.counts = counts(row)
    shown.processes = children.map { child in
      var process = StatusReport.Process(pid: child.pid, state: .ready, started: child.started)
      let running = child.inFlight.filter { $0.slot == row?.slot }
      process.busyThreads = running.count
      process.idleThreads = max(0, threads - child.inFlight.count)
      process.requests = child.answered
      process.oldestRequest = running.map(\.started).min().map { max(0, now - $0) }
      process.residentBytes = resident(child.pid)
      return process
    }
    shown.inFlight = children.reduce(0) { $0 + $1.inFlight.count { $0.slot == row?.slot } }
    shown.busyThreads = shown.inFlight
    shown.idleThreads = shown.processes.compactMap(\.idleThreads).reduce(0, +)
    return shown
  }
}
