import CPosix
import Glibc
import Platform
import WSGICore

/// Groups that have no queue until a request comes for them, and none any more when they have not been used for long.
extension Supervisor {
  /// A group's descriptors are given back when it has had no process for so many times its idle-timeout.
  private static let disuse: Int64 = 10
  /// Between two lines of the log on the same trouble.
  private static let complaintPause: Int64 = 10_000_000

  /// A child may still ask for the queue of a group.
  var mayOpenQueues: Bool { activation != nil && !isStopping && requestLifeline.watched >= 0 }

  /// Takes over the descriptors that an earlier supervisor made.
  func adoptFiles() {
    guard let groupStore else { return }
    for (place, files) in groupStore.groupFiles() {
      if let group = group(at: place) ?? adoptTenant(place), group.plan.makeFiles != nil {
        use(files, group)
      } else {
        files.closeAll()
      }
    }
  }

  func watchBell() { poller.watch(activation?.descriptor ?? -1, .activation, events: Poller<Source>.readable) }

  /// One of httpd's children rings. One that does so all the time is not heard for a moment.
  func hearBell() {
    if askPace.mayLook(now: Clock.monotonicMicroseconds()) {
      activation?.silence()
    } else {
      poller.forget(activation?.descriptor ?? -1)
    }
  }

  /// Answers httpd's children that have asked for queues. Whatever wakes this process has it look: any child can keep the ring of
  /// another from being heard.
  func answerAsks() {
    guard let activation else { return }
    for ask in activation.takeAsks(&askPace, now: Clock.monotonicMicroseconds()) { answer(ask) }
  }

  /// Whether a child waits for the answer to a question.
  func isOpen(_ ask: GroupActivation.Ask) -> Bool { activation?.isOpen(ask) ?? false }

  func answer(_ ask: GroupActivation.Ask) {
    var group: Group?
    if let template = templates[ask.place] {
      switch admit(ask, template, now: Clock.monotonicMicroseconds()) {
      case .group(let admitted): group = admitted
      case .refused(let number): activation?.answer(ask, .init(status: number))
      case .waiting: return
      }
    } else if let declared = self.group(at: ask.place), declared.tenancy == nil, declared.plan.makeFiles != nil {
      group = declared
    } else {
      activation?.answer(ask, .init(status: EINVAL))
    }
    guard let group else { return }
    if let script = ask.script { propose(script, group) }
    let failure = openQueue(group)
    activation?.answer(
      ask,
      .init(
        status: failure, place: group.place, user: group.tenancy?.userNumber, files: failure == 0 ? files(of: group) : nil))
  }

  private func files(of group: Group) -> GroupFiles {
    GroupFiles(
      readEnd: group.queue.readEnd, writeEnd: group.queue.writeEnd, owners: group.sharedFile, activity: group.activity,
      sessions: group.sessionQueues)
  }

  /// Makes the group's descriptors unless it has them. An errno value, or 0.
  func openQueue(_ group: Group) -> Int32 {
    guard !group.isFinished, mayOpenQueues else { return ESHUTDOWN }
    guard group.queue.readEnd < 0 else { return 0 }
    guard let files = group.plan.makeFiles?() else {
      let number = errno != 0 ? errno : ENOMEM
      let now = Clock.monotonicMicroseconds()
      if now >= group.nextComplaint {
        group.nextComplaint = now &+ Self.complaintPause
        log(
          group, .alert,
          "WSGI0720: Cannot create the queue of process group '\(group.plan.name)': \(String(cString: strerror(number))). Its"
            + " requests are refused until it can be created.")
      }
      return number
    }
    if group.plan.sessionSlots > 0, files.sessions < 0 { log(group, .warning, group.plan.lackOfSessions(errno)) }
    if groupStore?.put(files, of: group.place) != true {
      log(
        group, .warning,
        "WSGI0721: Cannot keep the queue of process group '\(group.plan.name)' for another supervisor: requests that wait when"
          + " this one ends are lost.")
    }
    use(files, group)
    return 0
  }

  private func use(_ files: GroupFiles, _ group: Group) {
    group.queue = RenewableQueue(readEnd: files.readEnd, writeEnd: files.writeEnd, offered: -1, offer: -1)
    group.sharedFile = files.owners
    group.activity = files.activity
    group.sessionQueues = files.sessions
    group.activities = WorkerScoreboard(
      processes: group.plan.processes, threads: group.plan.settings.threads, file: files.activity)
    group.unusedSince = nil
    note(group)
  }

  /// Ends the queue of a group that has no process. Nothing is put into it from here on; what came at the last moment is run: a
  /// process takes it, and finds the queue's end. False: one has been started for that.
  @discardableResult
  func endQueue(_ group: Group, now: Int64) -> Bool {
    shutdown(group.queue.readEnd, Int32(SHUT_RD))
    if wsgi_posix_waiting(group.queue.readEnd) > 0 { start(group, candidate: nil, now: now) }
    letGo(group)
    return group.workers.isEmpty
  }

  /// Lets go of the group's descriptors. What still lies in its queue is given up, and its senders ask for another.
  func letGo(_ group: Group) {
    guard group.queue.readEnd >= 0 else { return }
    poller.forget(group.queue.readEnd)
    group.activities?.unmap()
    group.activities = nil
    files(of: group).closeAll()
    group.queue = .never
    group.sharedFile = -1
    group.activity = -1
    group.sessionQueues = -1
    group.unusedSince = nil
    groupStore?.remove(UInt64(group.place))
  }

  func disuseDeadline(_ group: Group) -> Int64 {
    guard let since = group.unusedSince, group.plan.idleTimeout > 0 else { return .max }
    return since &+ Self.disuse &* group.plan.idleTimeout
  }

  /// Lets go of the descriptors of a group that has not been used for long.
  func endDisuse(_ group: Group, now: Int64) {
    if group.isMakingRoom { leave(group, now: now) }
    guard group.plan.makeFiles != nil, group.queue.readEnd >= 0 || group.tenancy != nil, !group.isFinished,
      group.endingSince == nil
    else { return }
    // Whoever stopped it may start it again.
    guard group.workers.isEmpty, group.demand.wanted == 0, !group.isHalted else {
      group.unusedSince = nil
      return
    }
    let since = group.unusedSince ?? now
    group.unusedSince = since
    guard now >= disuseDeadline(group) else { return }
    if group.tenancy != nil { leave(group, now: now) } else { endQueue(group, now: now) }
  }
}
