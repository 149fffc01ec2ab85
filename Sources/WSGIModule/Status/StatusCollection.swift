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

  /// - name: of the only group that is wanted.
  mutating func report(of name: String? = nil) -> StatusReport {
    let facts = wsgi_httpd_get_facts()
    var board = wsgi_httpd_scoreboard()
    let number = wsgi_httpd_get_scoreboard(&board) != 0 ? Int(board.generation) : 0
    let view = wsgi_httpd_look_at(request)
    var report = StatusReport(
      now: now, started: generation.started, generation: number, host: text(view.host ?? view.server_name),
      software: text(facts.description))
    func isWanted(_ group: ChildGroup) -> Bool { name.map { $0.utf8.elementsEqual(group.name.utf8) } ?? true }
    for group in generation.groups {
      if group.config.template == nil {
        if isWanted(group) { report.groups.append(daemonGroup(group, .init(group: group))) }
      } else {
        for (name, made) in generation.tenants(of: group) where isWanted(made) { report.groups.append(daemonGroup(made, name)) }
      }
    }
    if let embedded = embeddedGroup(facts, name) { report.groups.append(embedded) }
    return report
  }

  /// Whether the group takes requests: nil, or why not, as the end of a sentence. A template does as long as it makes groups.
  mutating func unreadiness(of name: String) -> (isKnown: Bool, why: String?) {
    if let template = generation.groups.first(where: { $0.config.template != nil && $0.name.utf8.elementsEqual(name.utf8) }) {
      return (true, template.queue == nil ? "it was not started" : nil)
    }
    guard let group = report(of: name).groups.first else { return (false, nil) }
    return (true, group.unreadiness)
  }

  private func text(_ bytes: UnsafePointer<CChar>?) -> String { String(decoding: rawBytes(of: bytes), as: UTF8.self) }

  /// A group's requests that are in flight.
  private func open(_ row: RequestBook.Row?) -> [RequestBook.OpenRequest] {
    children.flatMap { $0.inFlight.filter { $0.slot == row?.slot } }
  }

  private func count(_ row: RequestBook.Row?, in group: inout StatusReport.Group) {
    guard let row, let book = generation.book else { return }
    group.counts = book.counts(of: row)
    group.history = book.history(of: row, now: now)
  }

  /// Once the group's processes are known.
  private func note(_ notice: EngineNotice?, in group: inout StatusReport.Group) {
    group.python = notice?.python
    guard let load = notice?.lastLoad else { return }
    let outcome: StatusReport.Load.Outcome
    switch load.outcome {
    case .loaded: outcome = .loaded
    case .failedAndKept: outcome = .kept
    case .failed:
      // A process that only tried the script is gone, or will be, and those from before have the earlier code.
      let isServing =
        group.processes.contains { $0.pid == load.pid && $0.state != .candidate }
        || group.preloaders.contains { $0.pid == load.pid }
      let hasEarlier = group.processes.contains { $0.state == .ready && $0.started < load.time }
      outcome = !isServing && hasEarlier ? .kept : .failed
    }
    group.lastLoad = StatusReport.Load(outcome: outcome, at: load.time, text: load.text)
  }

  // MARK: a process group

  private mutating func daemonGroup(_ group: ChildGroup, _ name: QueuesOnDemand.Name) -> StatusReport.Group {
    let settings = group.config.settings
    let threads = settings.threads
    var shown = StatusReport.Group(
      name: group.name, isEmbedded: false, state: .failed, wantedProcesses: settings.processes, threads: threads)
    count(group.row, in: &shown)
    shown.user = user(of: group, name.owner)
    shown.startsOnDemand = group.config.minimumProcesses == 0
    guard let board = group.scoreboard else { return shown }
    let state = board.state
    if group.queue != nil {
      shown.state = .init(
        threads: threads, wanted: max(state.wanted, group.config.minimumProcesses ?? settings.processes), ready: state.ready,
        isServed: state.isServed, hasFailed: state.failures > 0)
    }
    if group.isHalted { shown.state = .stopped }
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
    note(group.notice(held), in: &shown)
    shown.setInFlight(open(group.row), now: now, isSticky: group.config.stickySessions != nil)
    return shown
  }

  /// Users of tenants are not looked up: there may be many.
  private func user(of group: ChildGroup, _ owner: ScriptUser?) -> String? {
    if let user = group.config.user { return user.name.description }
    if let owner { return "uid \(owner.user)" }
    let user = GroupPlan.userID(of: group.config)
    return UserNames.shared.record(of: user)?.name.description ?? "uid \(user)"
  }

  private func resident(_ pid: Int32) -> UInt64? { ProcessMemory.resident(of: "\(pid)").map { UInt64(clamping: $0) } }

  private func lookAtProcess(_ process: inout StatusReport.Process) {
    process.residentBytes = resident(process.pid)
    process.processorTime = ProcessFacts.processorTime(process.pid)
    if let used = process.processorTime {
      process.processorShare = generation.book?.processorShares.share(of: process.pid, used: used, now: now)
    }
  }

  private func process(
    _ process: GroupScoreboard.Process, _ threads: Int, _ activity: WorkerScoreboard.Activity?
  ) -> StatusReport.Process {
    var shown = StatusReport.Process(pid: process.pid, state: process.state, started: process.started)
    lookAtProcess(&shown)
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

  /// nil: no application runs so, or another group is wanted.
  private func embeddedGroup(_ facts: wsgi_httpd_facts, _ wanted: String?) -> StatusReport.Group? {
    let isRefused = generation.configuration.global.restrictEmbedded == true
    if let wanted { guard !isRefused, wanted.isEmpty || wanted == "%{GLOBAL}" else { return nil } }
    let threads = max(Int(facts.maximum_threads), 1)
    let hasFailed = HTTPDChild.current?.python.hasFailed == true
    var shown = StatusReport.Group(
      name: "embedded", isEmbedded: true, state: hasFailed ? .failed : .serving, wantedProcesses: children.count, threads: threads
    )
    let row = generation.embeddedRow
    count(row, in: &shown)
    shown.user = UserNames.shared.record(of: geteuid())?.name.description ?? "uid \(geteuid())"
    shown.processes = children.map { child in
      var process = StatusReport.Process(pid: child.pid, state: .ready, started: child.started)
      let running = child.inFlight.filter { $0.slot == row?.slot }
      process.busyThreads = running.count
      process.idleThreads = max(0, threads - child.inFlight.count)
      process.requests = child.answered
      process.oldestRequest = running.map(\.started).min().map { max(0, now - $0) }
      lookAtProcess(&process)
      return process
    }
    note(generation.reloadBoard.map { EngineNotice(board: $0.start, size: HostBoard.size) }, in: &shown)
    shown.setInFlight(open(row), now: now)
    let isExpected = wanted != nil || generation.configuration.expectsEmbedded
    return isExpected || shown.counts.total > 0 || shown.inFlight > 0 ? shown : nil
  }
}
