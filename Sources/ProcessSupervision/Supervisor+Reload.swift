import CPosix
import Glibc
import Platform
import WSGICore

extension Supervisor {
  /// How long old workers may take to say that they drain, before new ones answer all the same.
  private static let switchAllowance: Int64 = 1_000_000
  /// How long the first candidate that is ready waits for the others, at least.
  private static let stragglerAllowance: Int64 = 5_000_000
  /// Between two processes that are started for scripts whose import failed.
  private static let retryPause: Int64 = 1_000_000

  /// A worker has seen a changed script and keeps the request that showed it.
  func reload(_ change: ScriptChange, wantedBy worker: Worker, _ group: Group) {
    guard !group.isFinished, !isStopping, worker.state == .ready || worker.state == .draining else { return }
    if group.refusedChanges.contains(change) {
      worker.channel.send(.reloadRefused(change))
      return
    }
    if let current = group.reload, current.isRetry { endRetry(current, group) }
    if group.reload == nil { beginReload(change, group) }
    guard let reload = group.reload else {
      // No new worker can be had now: its request goes back to the queue, and it makes room for one that will come.
      worker.channel.send(.drain(.scriptReload))
      return
    }
    switch reload.phase {
    // A worker that asks more often than it can have requests keeps those until it drains.
    case .loading where reload.waiting.count < Group.Reload.waitingLimit: group.reload?.waiting.append(worker.instance)
    case .loading: break
    case .switching: handOver(from: worker, reload)
    }
    // It may have been started since, and have read the script before it changed.
    if case .switching = reload.phase, worker.state == .ready {
      drain(worker, .scriptReload, group)
    } else {
      group.reload?.old.insert(worker.instance)
    }
    if reload.notes(change) {
      group.reload?.changes.append(change)
      if change.script == reload.changes.first?.script { group.reload?.lastChange = Clock.monotonicMicroseconds() }
      tellOthers(.reloading(change), group)
    }
  }

  private func beginReload(_ change: ScriptChange, _ group: Group) {
    let now = Clock.monotonicMicroseconds()
    guard now >= group.pace.notBefore else { return }
    if group.pace.take(now: now) { reportPace(group) }
    var reload = Group.Reload(
      changes: [change], candidates: [], old: Set(group.workers.map(\.instance)), started: now)
    if let scripts = scripts(after: change, group) {
      guard let preloader = startPreloader(group, scripts: scripts, now: now) else { return }
      reload.preloader = preloader
    } else {
      reload.candidates = startCandidates(change, group, now: now)
      guard !reload.candidates.isEmpty else { return }
    }
    group.reload = reload
    tellOthers(.reloading(change), group)
  }

  func startCandidates(_ change: ScriptChange, _ group: Group, now: Int64) -> [Worker] {
    let script = WorkerSettings.Script(script: change.script, applicationGroup: change.applicationGroup)
    var candidates: [Worker] = []
    // As many at once as a machine has room for beside the old ones; the rest of a large group follows.
    let wanted = max(min(group.demand.wanted, 4), group.demand.wanted / 4, 1)
    while candidates.count < wanted, let candidate = start(group, candidate: script, now: now) { candidates.append(candidate) }
    return candidates
  }

  /// A worker wants a script tried again whose import failed in it.
  func retry(_ change: ScriptChange, wantedBy worker: Worker, _ group: Group) {
    guard !group.isFinished, !isStopping, worker.state == .ready || worker.state == .draining else { return }
    let now = Clock.monotonicMicroseconds()
    worker.hasFailedImport = true
    let script = WorkerSettings.Script(
      script: change.script, applicationGroup: change.applicationGroup, failure: change.failure)
    guard group.reload == nil, now >= group.nextRetry, let candidate = start(group, candidate: script, now: now) else {
      worker.channel.send(.reloadRefused(change))
      return
    }
    group.nextRetry = now &+ Self.retryPause
    group.reload = Group.Reload(
      changes: [change], candidates: [candidate], old: [], started: now, isRetry: true, waiting: [worker.instance])
  }

  /// Makes the way from the worker that keeps a request to a candidate that will answer it. Where that fails the request is kept
  /// until the worker drains, and then goes back to the queue.
  private func handOver(from worker: Worker, _ reload: Group.Reload) {
    let living = reload.candidates.filter { !$0.isDone }
    let loaded = living.filter { $0.verdict == .loaded }
    let heir = loaded.first { $0.sessionSlot == worker.sessionSlot }
    guard let candidate = heir ?? loaded.first ?? living.first else { return }
    var pair: [Int32] = [-1, -1]
    guard wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &pair) == 0 else { return }
    // One way, and each end is let go before the other side can have put anything there: the process that closes an end
    // last closes all that a tenant has sent to it.
    shutdown(pair[0], Int32(SHUT_RD))
    defer { close(pair[0]) }
    let isExpected = candidate.channel.send(.takeOver, descriptor: pair[1])
    close(pair[1])
    if isExpected { worker.channel.send(.handOver, descriptor: pair[0]) }
  }

  private func tellOthers(_ message: ControlMessage, _ group: Group) {
    guard let old = group.reload?.old else { return }
    for worker in group.workers where worker.state == .ready && old.contains(worker.instance) { worker.channel.send(message) }
  }

  /// A candidate that has ended has failed.
  func candidateEnded(_ worker: Worker, _ group: Group) {
    group.reload?.candidates.removeAll { $0 === worker }
  }

  /// Moves a reload on: waits for the candidates, then for the old workers.
  func attendReload(_ group: Group, now: Int64) {
    guard let reload = group.reload else { return }
    switch reload.phase {
    case .loading:
      guard attendPreloader(of: reload, group, now: now), let reload = group.reload else { return }
      if replaceOutdated(group, reload, now: now) { return }
      guard reload.candidates.allSatisfy(\.hasSettled) || now >= reload.patience(Self.stragglerAllowance) else { return }
      let hasLoaded = reload.candidates.contains { $0.verdict == .loaded }
      if reload.candidates.isEmpty || ((group.plan.keepsOldCode || reload.isRetry || reload.preloader != nil) && !hasLoaded) {
        refuse(reload, group)
      } else {
        makeRoom(group, reload, now: now)
      }
    case .switching(let waiting, let until):
      let slow = group.workers.filter { waiting.contains($0.instance) && $0.reason == nil && !$0.isDone }
      if slow.isEmpty || now >= until {
        for candidate in reload.candidates { begin(candidate) }
        group.reload = nil
      }
    }
  }

  /// Candidates that had loaded before the script changed once more make room for others, so that all of a group's processes get
  /// the same code. False: there are none, or it is too soon to start more.
  private func replaceOutdated(_ group: Group, _ reload: Group.Reload, now: Int64) -> Bool {
    let outdated = reload.candidates.filter { $0.verdict == .loaded && ($0.settled ?? .max) < reload.lastChange }
    guard !outdated.isEmpty, !reload.isRetry, now >= group.pace.notBefore, let change = reload.changes.first else { return false }
    if group.pace.take(now: now) { reportPace(group) }
    let script = WorkerSettings.Script(script: change.script, applicationGroup: change.applicationGroup)
    var isReplaced = false
    for candidate in outdated {
      guard let other = start(group, candidate: script, now: now) else { break }
      isReplaced = true
      group.reload?.candidates.removeAll { $0 === candidate }
      group.reload?.candidates.append(other)
      candidate.channel.send(.drain(.scriptReload))
      beginDraining(candidate, group)
    }
    return isReplaced
  }

  func reloadDeadline(_ reload: Group.Reload) -> Int64 {
    switch reload.phase {
    case .loading: reload.patience(Self.stragglerAllowance)
    case .switching(_, let until): until
    }
  }

  /// The old workers drain. A request that comes now is to be answered by new code only, so the new ones wait for their word.
  private func makeRoom(_ group: Group, _ reload: Group.Reload, now: Int64) {
    let reload = switchPreloader(group, reload)
    keepSessionsWaiting(for: reload.candidates)
    var told: Set<UInt64> = []
    for instance in reload.waiting {
      if let worker = group.workers.first(where: { $0.instance == instance && !$0.isDone }) { handOver(from: worker, reload) }
    }
    for worker in group.workers where makesRoom(worker, reload) && worker.isActive {
      if worker.state == .ready { told.insert(worker.instance) }
      drain(worker, .scriptReload, group)
    }
    group.reload?.phase = .switching(waitingFor: told, until: now &+ Self.switchAllowance)
  }

  private func makesRoom(_ worker: Worker, _ reload: Group.Reload) -> Bool {
    reload.isRetry ? worker.hasFailedImport : reload.old.contains(worker.instance)
  }

  /// The new code does not load, or its process does not live: the old workers keep what they have.
  func refuse(_ reload: Group.Reload, _ group: Group) {
    if reload.isRetry { return refuseRetry(reload, group) }
    for candidate in reload.candidates { drain(candidate, .scriptReload, group) }
    for change in reload.changes { tellOthers(.reloadRefused(change), group) }
    group.reload = nil
    let hasEnded = reload.candidates.isEmpty && !reload.hasFailedToLoad
    if group.preloads { group.refusedChanges = reload.changes }
    let script = reload.changes.first.map { String(decoding: $0.script, as: UTF8.self) } ?? ""
    log(
      group, .error,
      "WSGI0460: Reload failed: '\(script)'"
        + " \(hasEnded ? "ended the processes that were loading it" : "does not load"). Process group"
        + " '\(group.plan.name)' keeps serving the old code until the script changes again.")
  }

  /// A change does not wait for a script that is tried again.
  private func endRetry(_ reload: Group.Reload, _ group: Group) {
    if reload.phase == .loading { return refuseRetry(reload, group) }
    for candidate in reload.candidates { begin(candidate) }
    group.reload = nil
  }

  /// A script whose import failed does not load in a new process either. The worker that asked is told how it failed this time,
  /// so that the next process logs no more than what is new.
  private func refuseRetry(_ reload: Group.Reload, _ group: Group) {
    group.reload = nil
    var failure: UInt32?
    for candidate in reload.candidates {
      if case .failed(let number) = candidate.verdict { failure = number }
      drain(candidate, .scriptReload, group)
    }
    guard var change = reload.changes.first else { return }
    if let failure, failure != 0 { change.failure = failure }
    for worker in group.workers where reload.waiting.contains(worker.instance) { worker.channel.send(.reloadRefused(change)) }
  }

  /// A candidate becomes a worker like the others.
  func begin(_ candidate: Worker) {
    guard candidate.state == .candidate, !candidate.isDone else { return }
    candidate.channel.send(.begin)
    setState(candidate, candidate.readySince == nil ? .starting : .ready)
  }
}
