import CPosix
import Glibc
import Platform
import WSGICore

/// Words that supervisor and preloaders agree on.
public enum Preloading {
  /// The last argument of a preloader, by which lists of processes tell it from the workers that it forks.
  public static let mark = "(preloader)"
}

/// Groups whose workers are forks of a process that has loaded their scripts.
///
/// A preloader is a process of the tenant's, and can say what it likes. It is told over its socket of orders what to fork, in a
/// `ForkOrder`. The new process is orphaned at once, and so becomes a child of the supervisor, which adopts orphans. It gives its
/// number over its own relay: what it says is only ever used to look for an unknown child of that number and of the group's user.
extension Supervisor {
  /// How long a preloader may take to fork a process.
  private static let forkAllowance: Int64 = 10_000_000
  /// How long one may load scripts before the log says so.
  private static let loadPatience: Int64 = 10_000_000
  /// How long one that is to end may take.
  private static let endAllowance: Int64 = 2_000_000

  private func startOrdinarily(_ group: Group) {
    group.startsOrdinarily = true
    group.preloader = nil
  }

  // MARK: scripts

  /// A child names the script of the request for which a tenant's group is made: the first is what its preloader loads. The
  /// preloader does so as the tenant's user, and only what a worker of the group would load for a request.
  func propose(_ script: ScriptPath, _ group: Group) {
    guard let tenancy = group.tenancy, tenancy.template.plan.preloads, tenancy.script == nil else { return }
    keep(script, group)
    note(group)
  }

  private func keep(_ script: ScriptPath, _ group: Group) {
    group.tenancy?.script = script
    group.scoreboard.script = script
    group.startsOrdinarily = false
  }

  /// The scripts that a preloader is to load after a change; nil: there is to be none. A tenant's loads the one that has changed:
  /// whatever else it had loaded may not load any more, and is none of this one's business.
  func scripts(after change: ScriptChange, _ group: Group) -> [WorkerSettings.Script]? {
    guard adoptsOrphans else { return nil }
    guard group.tenancy != nil else { return group.plan.preloads ? group.plan.settings.imports : nil }
    return tenantsScript(change, group).map { [WorkerSettings.Script(script: $0.bytes, applicationGroup: [])] }
  }

  private func tenantsScript(_ change: ScriptChange, _ group: Group) -> ScriptPath? {
    guard group.tenancy?.template.plan.preloads == true, change.applicationGroup.isEmpty else { return nil }
    return ScriptPath(change.script)
  }

  // MARK: use

  /// Whether no worker may be started before a preloader has loaded the scripts. Starts one where there is none.
  func awaitsPreloader(_ group: Group, now: Int64) -> Bool {
    guard !group.startsOrdinarily, adoptsOrphans else { return false }
    if group.preloader == nil, group.demand.wanted > 0 || !group.workers.isEmpty, takeTurn(group, now: now) {
      group.preloader = startPreloader(group, scripts: group.preloadedScripts, now: now)
    }
    return group.preloader?.verdict != .loaded
  }

  /// The process of which a new worker is to be a fork; nil: it is executed, as one has to be that tries an import again.
  func preloader(of group: Group, for candidate: WorkerSettings.Script?) -> Worker? {
    guard candidate?.failure ?? 0 == 0 else { return nil }
    let preloader = candidate == nil ? group.preloader : group.reload?.preloader
    return preloader?.verdict == .loaded ? preloader : nil
  }

  /// Has a process forked that gets these descriptors. 0, or an errno value.
  func order(_ preloader: Worker, _ descriptors: [Int32]) -> Int32 {
    let parcel = ForkOrder.pack(descriptors)
    guard parcel >= 0 else { return -parcel }
    defer { close(parcel) }
    return preloader.channel.send(.fork, descriptor: parcel) ? 0 : EPIPE
  }

  /// A process says that it is the one that was ordered.
  func confirm(_ worker: Worker, _ pid: Int32) {
    let group = worker.group
    let user = group.plan.settings.credentials?.user
    guard pid > 1, wsgi_posix_has_ended(pid) >= 0, !knownProcesses.contains(pid), user == nil || ProcessFacts.user(pid) == user
    else {
      give(up: worker)
      if pid > 1, ProcessFacts.startTicks(pid) == nil { return hasEnded(worker, pid) }
      return distrust(worker.source, group, "WSGI0717", "named process \(pid) as its fork, which is not new or not of its user")
    }
    worker.begin(pid: pid)
    enter(worker)
    note(group)
  }

  /// A worker has ended, and been reaped, before it was heard of.
  private func hasEnded(_ worker: Worker, _ pid: Int32) {
    let now = Clock.monotonicMicroseconds()
    worker.group.backoff.failedToStart(started: worker.started, now: now)
    log(
      worker.group, .alert,
      "WSGI0452: The process \(pid) of process group '\(worker.group.plan.name)' ended during startup."
        + " \(retryText(worker.group, now: now))")
  }

  func handle(_ message: ControlMessage, fromPreloader preloader: Worker) {
    switch message {
    case .loaded where preloader.verdict == nil:
      preloader.verdict = .loaded
      preloader.settled = Clock.monotonicMicroseconds()
      note(preloader.group)
    case .startFailed(let sentence): preloader.startFailure = String(sentence.prefix(500))
    case .log(let record): relay(record, from: preloader)
    case .passedOn: preloader.hasSaidAll = true
    default: break
    }
  }

  // MARK: the loop

  /// Looks after orders, and ends preloaders that have nothing to do any more.
  func attendPreloaders(_ group: Group, now: Int64) {
    group.preloaders.removeAll(where: \.isDone)
    if group.preloader?.isDone == true { group.preloader = nil }
    if let reload = group.reload, reload.phase == .loading, reload.preloader?.isDone == true { refuse(reload, group) }
    for worker in group.workers { if let source = worker.source { checkOrder(worker, source, group, now: now) } }
    group.workers.removeAll(where: \.isDone)
    guard !group.preloaders.isEmpty else { return }
    checkIdle(group, now: now)
    if group.isFinished || group.isHalted { group.preloader = nil }
    for preloader in group.preloaders where preloader.state == .starting {
      if preloader !== group.preloader, preloader !== group.reload?.preloader {
        end(preloader)
      } else if preloader.verdict == nil, preloader.startFailure == nil, now >= loadDeadline(preloader) {
        let limit = seconds(group.plan.settings.startupTimeout &* 1_000)
        preloader.startFailure = "its scripts did not load within startup-timeout (\(limit))"
        kill(preloader)
      } else if preloader.verdict == nil, !preloader.isReportedSlow, now >= preloader.started &+ Self.loadPatience {
        preloader.isReportedSlow = true
        log(
          group, .warning,
          "WSGI0719: The preloader (process \(preloader.pid)) of process group '\(group.plan.name)' has been loading scripts for"
            + " \(seconds(now &- preloader.started)); requests for them are waiting.")
      }
    }
  }

  private func kill(_ preloader: Worker) {
    preloader.signal(SIGKILL)
    preloader.giveUpAt = Clock.monotonicMicroseconds() &+ Self.killAllowance
  }

  /// Each script has the whole time.
  private func loadDeadline(_ preloader: Worker) -> Int64 {
    let settings = preloader.group.plan.settings
    guard settings.startupTimeout > 0, preloader.verdict == nil else { return .max }
    let factor = 1_000 &* Int64(max(settings.imports.count, 1))
    let (time, overflows) = settings.startupTimeout.multipliedReportingOverflow(by: factor)
    return overflows ? .max : preloader.started &+ min(time, 1 << 50)
  }

  private func checkIdle(_ group: Group, now: Int64) {
    guard group.workers.isEmpty, group.demand.wanted == 0, group.preloader != nil else {
      group.preloaderIdleSince = nil
      return
    }
    let since = group.preloaderIdleSince ?? now
    group.preloaderIdleSince = since
    if group.plan.idleTimeout > 0, now >= since &+ group.plan.idleTimeout { group.preloader = nil }
  }

  func preloaderDeadline(_ group: Group) -> Int64 {
    guard group.preloads || !group.preloaders.isEmpty else { return .max }
    var next = Int64.max
    for preloader in group.preloaders where preloader.verdict == nil && preloader.startFailure == nil {
      next = min(next, loadDeadline(preloader), preloader.isReportedSlow ? .max : preloader.started &+ Self.loadPatience)
    }
    for worker in group.workers where worker.source != nil { next = min(next, worker.started &+ Self.forkAllowance) }
    if let since = group.preloaderIdleSince, group.plan.idleTimeout > 0 { next = min(next, since &+ group.plan.idleTimeout) }
    return next
  }

  private func end(_ preloader: Worker) {
    preloader.state = .stopping
    preloader.killAt = Clock.monotonicMicroseconds() &+ Self.endAllowance
    preloader.signal(SIGTERM)
  }

  private func checkOrder(_ worker: Worker, _ source: Worker, _ group: Group, now: Int64) {
    if group.isFinished || !worker.isActive && worker.state != .candidate {
      give(up: worker)
    } else if source.isDone {
      // The fork may have been made before the preloader ended: it is heard of, or nobody has its descriptors any more.
      if worker.hasHungUp || now >= worker.started &+ Self.forkAllowance { give(up: worker) }
    } else if worker.hasHungUp {
      give(up: worker)
      group.backoff.failedToStart(started: worker.started, now: now)
      log(
        group, .alert,
        "WSGI0715: The preloader (process \(source.pid)) of process group '\(group.plan.name)' could not fork a process: its user"
          + " or control group may have as many as it can. \(retryText(group, now: now))")
    } else if now >= worker.started &+ Self.forkAllowance {
      give(up: worker)
      distrust(source, group, "WSGI0714", "has not forked a process within \(seconds(Self.forkAllowance))")
    }
  }

  /// A worker that was ordered is not waited for. Should it come to exist, it finds nobody to report to, and ends.
  private func give(up worker: Worker) {
    worker.isDone = true
    leave(worker.output)
    letGo(worker)
    store.remove(worker.instance)
    candidateEnded(worker, worker.group)
    note(worker.group)
  }

  /// A preloader does not do its work.
  private func distrust(_ preloader: Worker?, _ group: Group, _ number: String, _ why: String) {
    startOrdinarily(group)
    guard let preloader, !preloader.isLeaving else { return }
    preloader.state = .stopping
    kill(preloader)
    log(
      group, .error,
      "\(number): The preloader (process \(preloader.pid)) of process group '\(group.plan.name)' \(why); ending it. The group's"
        + " processes load their scripts themselves until one of these changes.")
  }

  // MARK: ends

  func preloaderEnded(_ preloader: Worker, _ group: Group, _ record: EndRecord, now: Int64) {
    letGo(preloader)
    if group.preloader === preloader { group.preloader = nil }
    note(group)
    let reload = group.reload?.preloader === preloader && group.reload?.phase == .loading ? group.reload : nil
    if preloader.isLeaving || isStopping || group.isFinished {
      if reload != nil { group.reload?.preloader = nil }
      return log(group, .info, "The \(title(preloader)), a preloader, \(record.sentence).")
    }
    switch record.cause {
    case .exited(WorkerExit.notForkable.rawValue):
      startOrdinarily(group)
      if let change = reload?.changes.first {
        group.reload?.preloader = nil
        let candidates = startCandidates(change, group, now: now)
        group.reload?.candidates = candidates
      }
      return
    case .exited(WorkerExit.scriptFailed.rawValue) where preloader.verdict == nil:
      group.reload?.hasFailedToLoad = true
      if reload == nil {
        startOrdinarily(group)
        log(
          group, .error,
          "WSGI0716: A script of process group '\(group.plan.name)' does not load in its preloader (process \(preloader.pid))."
            + " The group's processes load their scripts themselves until one of these loads or changes.")
      }
    case _ where preloader.verdict == nil:
      group.backoff.failedToStart(started: preloader.started, now: now)
      reportStartFailure(preloader, group, record, now: now)
    default:
      group.backoff.crashed(ready: now &- (preloader.settled ?? now), started: preloader.started, now: now)
      log(
        group, .error,
        "WSGI0713: The preloader (process \(preloader.pid)) of process group '\(group.plan.name)' \(record.sentence). Its workers"
          + " go on. \(retryText(group, now: now))")
    }
    if let reload = group.reload, reload.preloader === preloader, reload.phase == .loading { refuse(reload, group) }
  }

  // MARK: reload

  /// Has the candidates of a reload forked when the changed scripts have loaded. False: there are none to be waited for yet.
  func attendPreloader(of reload: Group.Reload, _ group: Group, now: Int64) -> Bool {
    guard let preloader = reload.preloader else { return true }
    guard preloader.verdict == .loaded, let settled = preloader.settled, let change = reload.changes.first else { return false }
    if settled < reload.lastChange, now >= group.pace.notBefore,
      let other = startPreloader(group, scripts: scripts(after: change, group) ?? [], now: now)
    {
      // The scripts changed once more after it had loaded them.
      if group.pace.take(now: now) { reportPace(group) }
      for candidate in reload.candidates { drain(candidate, .scriptReload, group) }
      group.reload?.preloader = other
      group.reload?.candidates = []
      group.reload?.hasCandidates = false
      return false
    }
    if !reload.hasCandidates {
      group.reload?.hasCandidates = true
      let candidates = startCandidates(change, group, now: now)
      group.reload?.candidates = candidates
    }
    return true
  }

  /// The reload as it goes on when its candidates have loaded: workers are forks of its preloader from now on, and those that
  /// are forks of another make room, whenever they were forked.
  func switchPreloader(_ group: Group, _ reload: Group.Reload) -> Group.Reload {
    if reload.preloader != nil || reload.isRetry, let script = reload.changes.first.flatMap({ tenantsScript($0, group) }) {
      keep(script, group)
    }
    guard let preloader = reload.preloader else {
      // What did not load does.
      if reload.isRetry { group.startsOrdinarily = !group.preloads }
      return reload
    }
    var reload = reload
    let candidates = Set(reload.candidates.map(\.instance))
    reload.old = Set(group.workers.map(\.instance)).subtracting(candidates)
    group.reload = reload
    group.preloader = preloader
    group.startsOrdinarily = false
    group.refusedChanges = []
    return reload
  }
}

extension Supervisor.Group {
  /// Its workers are forks of a preloader where they can be.
  var preloads: Bool { tenancy.map { $0.script != nil } ?? plan.preloads }

  /// The scripts that its preloader loads.
  fileprivate var preloadedScripts: [WorkerSettings.Script] {
    guard let tenancy else { return plan.settings.imports }
    return tenancy.script.map { [WorkerSettings.Script(script: $0.bytes, applicationGroup: [])] } ?? []
  }
}
