import CHTTPD
import Glibc
import ProcessSupervision
import WSGIConfig
import WSGICore
import WSGIStatus

/// Gathers what the status page shows: from the tally, the supervisor's board, and `/proc`.
struct StatusCollection {
  private let generation: Generation
  private let request: OpaquePointer
  private let now = epochNow()
  private let children: [RequestTally.Child]

  init(_ generation: Generation, _ request: OpaquePointer) {
    self.generation = generation
    self.request = request
    children = generation.tally?.children() ?? []
  }

  func report() -> StatusReport {
    let facts = wsgi_httpd_get_facts()
    var board = wsgi_httpd_scoreboard()
    let number = wsgi_httpd_get_scoreboard(&board) != 0 ? Int(board.generation) : 0
    let view = wsgi_httpd_look_at(request)
    var report = StatusReport(
      now: now, started: generation.started, generation: number, host: text(view.host ?? view.server_name),
      software: text(facts.description))
    let groups = generation.configuration.groups
    report.groups = groups.indices.map { daemonGroup($0, groups[$0]) }
    let embedded = embeddedGroup(groups.count, facts)
    if generation.configuration.expectsEmbedded || embedded.counts.total > 0 || embedded.inFlight > 0 {
      report.groups.append(embedded)
    }
    return report
  }

  private func text(_ bytes: UnsafePointer<CChar>?) -> String { String(decoding: rawBytes(of: bytes), as: UTF8.self) }

  /// When the requests of a group that are in flight came, oldest first.
  private func starts(_ group: Int) -> [Int64] {
    children.flatMap { $0.inFlight.filter { $0.group == group }.map(\.started) }.sorted()
  }

  // MARK: a process group

  private func daemonGroup(_ index: Int, _ group: WSGIConfig.DaemonGroup) -> StatusReport.Group {
    let threads = group.worker.threads
    var shown = StatusReport.Group(
      name: group.name.description, isEmbedded: false, state: .failed, wantedProcesses: group.worker.processes, threads: threads)
    shown.counts = generation.tally?.counts(of: index) ?? RequestCounts()
    guard let groups = generation.processGroups else { return shown }
    let board = groups.supervised.board
    let state = board.state(ofGroup: index)
    if groups.endpoint(of: index) != nil {
      shown.state = .init(
        threads: threads, wanted: group.worker.processes, ready: state.ready, isServed: state.isServed)
    }
    if state.retry > now { shown.retry = state.retry }
    shown.ends = board.endCounts(ofGroup: index).map { ($0.kind.name, $0.count) }
    shown.lastEnd = board.ends(ofGroup: index).first.map {
      StatusReport.End(pid: $0.pid, at: $0.ended, sentence: $0.sentence, isNormal: $0.isNormal)
    }
    shown.processes = board.processes(ofGroup: index).map { process($0, threads, groups.activity(of: $0, in: index)) }
    shown.setInFlight(starts(index), now: now)
    return shown
  }

  private func process(
    _ process: Board.Process, _ threads: Int, _ activity: ActivityPages.Activity?
  ) -> StatusReport.Process {
    var shown = StatusReport.Process(pid: process.pid, state: process.state, started: process.started)
    shown.residentBytes = StatusCollection.residentBytes(process.pid)
    if let activity {
      shown.busyThreads = activity.busy
      // One that drains takes no more requests: no thread of it waits for any.
      shown.idleThreads = process.state == .ready ? max(0, threads - activity.busy) : 0
      shown.requests = activity.completed
      shown.oldestRequest = activity.oldest.map { max(0, monotonicNow() &- $0) &* 1000 }
    }
    return shown
  }

  // MARK: embedded mode

  private func embeddedGroup(_ index: Int, _ facts: wsgi_httpd_facts) -> StatusReport.Group {
    let threads = max(Int(facts.maximum_threads), 1)
    var shown = StatusReport.Group(
      name: "embedded", isEmbedded: true, state: .serving, wantedProcesses: children.count, threads: threads)
    shown.counts = generation.tally?.counts(of: index) ?? RequestCounts()
    shown.processes = children.map { child in
      var process = StatusReport.Process(pid: child.pid, state: .ready, started: child.started)
      let running = child.inFlight.filter { $0.group == index }
      process.busyThreads = running.count
      process.idleThreads = max(0, threads - child.inFlight.count)
      process.requests = child.answered
      process.oldestRequest = running.map(\.started).min().map { max(0, now - $0) }
      process.residentBytes = StatusCollection.residentBytes(child.pid)
      return process
    }
    shown.inFlight = children.reduce(0) { $0 + $1.inFlight.count { $0.group == index } }
    shown.busyThreads = shown.inFlight
    shown.idleThreads = shown.processes.compactMap(\.idleThreads).reduce(0, +)
    return shown
  }

  /// Milliseconds.
  private func monotonicNow() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
  }

  // MARK: /proc

  /// nil: the process has gone, or `/proc` is hidden from us.
  private static func residentBytes(_ pid: Int32) -> UInt64? {
    let file = open("/proc/\(pid)/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 128)
    let count = read(file, &buffer, buffer.count)
    guard count > 0 else { return nil }
    let fields = buffer[..<count].split(separator: UInt8(ascii: " "))
    guard fields.count > 1, let pages = UInt64(String(decoding: fields[1], as: UTF8.self)) else { return nil }
    return pages.multipliedReportingOverflow(by: UInt64(clamping: sysconf(Int32(_SC_PAGESIZE)))).partialValue
  }
}
