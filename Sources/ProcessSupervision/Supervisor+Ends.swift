import CPosix
import Glibc
import Platform
import WSGICore

extension Supervisor {
  /// How long what a worker said last may be on its way through the relay. A tenant can keep the relay from its work.
  static let lastWordsAllowance: Int64 = 500_000

  /// Takes note of a worker's end, if it has ended.
  func checkEnd(of worker: Worker) {
    guard !worker.isDone, worker.source == nil, let cause = endCause(of: worker) else { return }
    let now = Clock.monotonicMicroseconds()
    guard hasSaidAll(worker, now: now) else { return }
    let group = worker.group
    leave(worker.output)
    if isStopping, worker.isChild {
      // As httpd does with its own process group: what the application started ends too. The id is still the zombie's.
      kill(-worker.pid, SIGTERM)
    }
    var end = wsgi_posix_end()
    if worker.isChild { _ = wsgi_posix_reap(worker.pid, &end) }
    worker.isDone = true
    let record = makeRecord(worker, group, cause, end)
    if worker.isPreloader { return preloaderEnded(worker, group, record, now: now) }
    enter(record, of: worker)
    store.remove(worker.instance)
    adjustBackoff(worker, group, record, now: now)
    report(worker, group, record, now: now)
    candidateEnded(worker, group)
  }

  /// Whether what a worker said last, which explains its end, has come, or has had its time.
  private func hasSaidAll(_ worker: Worker, now: Int64) -> Bool {
    receive(from: worker)
    if worker.channel.incoming < 0 || worker.hasHungUp { return true }
    guard let seen = worker.endSeen else {
      worker.endSeen = now
      worker.hasSaidAll = false
      worker.channel.askForRest()
      return false
    }
    return worker.hasSaidAll || now >= seen &+ Self.lastWordsAllowance
  }

  /// nil: it still runs.
  private func endCause(of worker: Worker) -> EndRecord.Cause? {
    guard worker.isChild else {
      if worker.pidfd >= 0 {
        var entry = pollfd(fd: worker.pidfd, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) > 0 ? .unknown : nil
      }
      let slot = worker.group.scoreboard[slot: worker.slot]
      return ProcessFacts.startTicks(worker.pid) == slot.startTicks ? nil : .unknown
    }
    // 0: runs; negative: it is not there to be waited for, which it can only be when it is gone.
    return wsgi_posix_has_ended(worker.pid) == 0 ? nil : .exited(code: 0)
  }

  private func makeRecord(
    _ worker: Worker, _ group: Group, _ cause: EndRecord.Cause, _ end: wsgi_posix_end
  ) -> EndRecord {
    var flags: EndRecord.Flags = []
    var cause = cause
    let settings = group.plan.settings
    if worker.isChild { cause = end.signal != 0 ? .killed(signal: end.signal) : .exited(code: end.code) }
    if end.core != 0 { flags.insert(.core) }
    if worker.wasKilled { flags.insert(.overdue) }
    if worker.readySince != nil { flags.insert(.wasReady) }
    if settings.memoryLimit > 0 || settings.virtualMemoryLimit > 0 { flags.insert(.memoryLimited) }
    if settings.cpuTimeLimit > 0, end.signal == SIGXCPU || end.signal == SIGKILL && hasSpent(end.cpu_micros, settings) {
      flags.insert(.cpuLimit)
    } else if end.signal == SIGKILL, !worker.wasKilled, ProcessFacts.memoryKills() != worker.memoryKills {
      flags.insert(.outOfMemory)
      if group.hasControlGroup { flags.insert(.inControlGroup) }
    }
    return worker.endRecord(cause, flags)
  }

  /// Puts the end of a worker on its group's scoreboard, in the place of its slot.
  func enter(_ record: EndRecord, of worker: Worker) {
    worker.group.scoreboard.record(record)
    letGo(worker)
  }

  /// Gives back what belongs to a worker that has ended, or that will not exist.
  func letGo(_ worker: Worker) {
    worker.group.scoreboard[slot: worker.slot] = .init()
    poller.forget(worker.channel.incoming)
    poller.forget(worker.pidfd)
    worker.closeDescriptors()
  }

  /// Whether a killed process had used up the time at which the kernel kills it. What the kernel goes by and what it reports are
  /// measured differently, and may differ by a little.
  private func hasSpent(_ micros: Int64, _ settings: WorkerSettings) -> Bool {
    micros / 1_000 &+ 500 >= Int64(clamping: min(settings.hardCPULimit, 1 << 40)) &* 1_000
  }

  private func adjustBackoff(_ worker: Worker, _ group: Group, _ record: EndRecord, now: Int64) {
    let isService = group.plan.settings.isService
    if isStopping || worker.wasKilled || !isService && worker.isLeaving && record.reason != nil {
      return  // it was on its way out: its replacement has been seen to
    }
    if isService, record.isNormal {
      group.backoff.serviceReturned(after: now &- worker.started, now: now)
    } else if record.isNormal || worker.hasAnswered {
      group.backoff.succeeded()
      pace(worker, group)
    } else if let since = worker.readySince {
      group.backoff.crashed(ready: now &- since, started: worker.started, now: now)
    } else {
      group.backoff.failedToStart(started: worker.started, now: now)
    }
  }

  /// A process ends, or leaves, on its own account. One that did so young is made up for as often as `StartPace` allows.
  func pace(_ worker: Worker, _ group: Group) {
    let now = Clock.monotonicMicroseconds()
    guard !isStopping, !group.isFinished, now &- worker.started < StartPace.young, group.pace.take(now: now) else { return }
    reportPace(group)
  }

  func reportPace(_ group: Group) {
    log(
      group, .warning,
      "WSGI0662: Processes of process group '\(group.plan.name)' exit, or reload a changed script, as soon as they"
        + " start; starting at most \(group.pace.perSecond) per second from now on.")
  }

  private func report(_ worker: Worker, _ group: Group, _ record: EndRecord, now: Int64) {
    let name = title(worker)
    let ran = seconds(now &- worker.started)
    if record.isNormal {
      log(group, .info, "The \(name) \(record.sentence) after \(ran).")
    } else if worker.state == .stopping, record.cause == .killed(signal: SIGTERM) || record.cause == .exited(code: 0) {
      log(group, .info, "The \(name) was stopped during startup.")
    } else if worker.wasKilled {
      log(group, .warning, "WSGI0453: The \(name) \(record.sentence).")
    } else if worker.readySince == nil, !record.flags.contains(.wasReady), worker.isChild {
      reportStartFailure(worker, group, record, now: now)
    } else {
      log(
        group, .error,
        "WSGI0451: The \(name) \(record.sentence) after \(ran). Its running requests are lost."
          + " \(retryText(group, now: now))")
    }
  }

  func reportStartFailure(_ worker: Worker, _ group: Group, _ record: EndRecord, now: Int64) {
    var number = "WSGI0452"
    if case .exited(let code) = record.cause, let known = WorkerExit(rawValue: code) { number = "\(known.logNumber)" }
    let detail = worker.startFailure.map { ": \($0)" } ?? ""
    log(
      group, .alert,
      "\(number): The \(title(worker)) \(record.sentence) during startup\(detail). \(retryText(group, now: now))")
  }
}
