import CPosix
import Glibc
import Platform
import WSGICore

extension Supervisor {
  /// Starts what the group lacks, as far as its back-off allows.
  func fill(_ group: Group, now: Int64) {
    if group.backoff.isProbing, group.workers.contains(where: { isStable($0, now: now) }) { group.backoff.succeeded() }
    group.predecessors.removeAll { $0.isOver(now: now) }
    guard !group.isFinished, !isStopping, now >= group.notBefore, group.predecessors.isEmpty, group.renewAt == nil,
      group.queue.readEnd >= 0, !group.isMakingRoom, !group.isHalted, group.hasUser, !awaitsPreloader(group, now: now)
    else { return }
    // Candidates are workers to be. A service is not started before the one that it replaces has gone.
    let present = group.plan.settings.isService ? group.workers.count : group.active
    var missing = group.demand.wanted &- present &- (group.reload?.candidates.count ?? 0)
    if group.backoff.isProbing, group.ready == 0 { missing = min(missing, 1 &- group.active) }
    if missing <= 0 { group.turn = nil }
    while missing > 0, takeTurn(group, now: now) {
      guard start(group, candidate: nil, now: now) != nil else { return }
      missing = missing &- 1
    }
  }

  private func isStable(_ worker: Worker, now: Int64) -> Bool {
    guard worker.state == .ready, let since = worker.readySince else { return false }
    return now &- since >= RestartBackoff.stable
  }

  /// Starts a worker. nil: there is no slot, or it could not be done, which the back-off has been told.
  @discardableResult
  func start(_ group: Group, candidate: WorkerSettings.Script?, now: Int64) -> Worker? {
    guard group.hasUser else { return nil }
    guard let slot = freeSlot(group) else {
      if !group.hasReportedFullSlots {
        group.hasReportedFullSlots = true
        log(
          group, .warning,
          "WSGI0464: Cannot start a replacement in process group '\(group.plan.name)': \(group.workers.count) processes have"
            + " not exited. Set graceful-timeout to bound how long they may take.")
      }
      return nil
    }
    group.hasReportedFullSlots = false
    var settings = group.plan.settings
    settings.version = ControlMessage.version
    settings.instance = memory.nextInstance()
    settings.slot = Int32(clamping: slot)
    settings.candidate = candidate
    settings.controlGroup = prepareControlGroup(of: group)
    let source = preloader(of: group, for: candidate)
    let sessionSlot = sessionSlot(in: group, isCandidate: candidate != nil)
    switch launch(group, settings, by: source, sessionSlot: sessionSlot) {
    case .success(let launched):
      let worker = Worker(
        group: group, slot: slot, pid: launched.pid, isChild: true, ends: launched.ends, relay: launched.relay,
        state: candidate == nil ? .starting : .candidate, startedEpoch: Clock.epochMicroseconds(),
        memoryKills: ProcessFacts.memoryKills(), source: source)
      worker.queueNumber = group.queueNumber
      worker.sessionSlot = sessionSlot
      group.workers.append(worker)
      enter(worker)
      _ = store.put(launched.ends)
      return worker
    case .failure(let failure):
      report(failure, group, now: now)
      return nil
    }
  }

  /// Puts a worker that lives on its group's scoreboard.
  func enter(_ worker: Worker) {
    guard worker.pid > 0 else { return }
    worker.group.scoreboard[slot: worker.slot] = GroupScoreboard.Slot(
      pid: worker.pid, state: worker.state.rawValue, instance: worker.instance,
      startTicks: ProcessFacts.startTicks(worker.pid) ?? 0, started: worker.startedEpoch, session: worker.sessionSlot)
  }

  /// Starts a process that loads scripts of the group's, and that workers are then forks of. nil: it could not be done.
  func startPreloader(_ group: Group, scripts: [WorkerSettings.Script], now: Int64) -> Worker? {
    guard group.hasUser else { return nil }
    var settings = group.plan.settings
    settings.version = ControlMessage.version
    settings.instance = memory.nextInstance()
    settings.engine.isPreloader = true
    settings.imports = scripts
    settings.controlGroup = prepareControlGroup(of: group)
    switch launch(group, settings) {
    case .success(let launched):
      let preloader = Worker(
        group: group, slot: -1, pid: launched.pid, isChild: true, ends: launched.ends, relay: launched.relay, state: .starting,
        startedEpoch: Clock.epochMicroseconds(), memoryKills: ProcessFacts.memoryKills(), isPreloader: true)
      group.preloaders.append(preloader)
      return preloader
    case .failure(let failure):
      report(failure, group, now: now)
      return nil
    }
  }

  private func report(_ failure: LaunchFailure, _ group: Group, now: Int64) {
    group.backoff.failedToStart(started: now, now: now)
    log(
      group, .alert,
      "WSGI0024: Unable to spawn a process for process group '\(group.plan.name)': \(failure.what):"
        + " \(String(cString: strerror(failure.errno))). \(retryText(group, now: now))")
  }

  func retryText(_ group: Group, now: Int64) -> String {
    if group.isFinished || isStopping { return "It will not be replaced." }
    let wait = group.notBefore &- now
    return wait <= 0 ? "Starting a replacement." : "The next attempt is in \(seconds(wait))."
  }

  func seconds(_ micros: Int64) -> String {
    let tenths = (max(micros, 0) &+ 50_000) / 100_000
    return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
  }

  private func freeSlot(_ group: Group) -> Int? {
    let taken = Set(group.workers.map(\.slot))
    return (0..<group.scoreboard.slotCount).first { !taken.contains($0) }
  }

  // MARK: launching

  private struct Launched {
    var pid: Int32
    var relay: Int32
    var ends: DescriptorStore.Ends
  }

  private struct LaunchFailure: Error {
    var what: String
    var errno: Int32
  }

  /// Executes a process, or has `preloader` fork it.
  private func launch(
    _ group: Group, _ settings: WorkerSettings, by preloader: Worker? = nil, sessionSlot: Int = -1
  ) -> Result<Launched, LaunchFailure> {
    var opened: [Int32] = []
    func pair(_ make: (UnsafeMutablePointer<Int32>) -> Int32) throws(LaunchFailure) -> [Int32] {
      var ends: [Int32] = [-1, -1]
      let result = make(&ends)
      guard result == 0 else { throw LaunchFailure(what: "cannot create pipes and sockets", errno: -result) }
      opened += ends
      return ends
    }
    /// `given`: what the launched process alone is to have.
    func execute(
      _ arguments: [[UInt8]], _ environment: [[UInt8]], _ descriptors: [Int32], given: [Int32]
    ) throws(LaunchFailure) -> Int32 {
      opened.removeAll { given.contains($0) }
      let pid = self.execute(group.plan.program, arguments, environment, descriptors, given)
      guard pid > 0 else { throw LaunchFailure(what: String(decoding: group.plan.program, as: UTF8.self), errno: -pid) }
      return pid
    }
    do throws(LaunchFailure) {
      let orders = try pair { wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), $0) }
      // Nothing travels back: no process would receive what a worker sent here, and the supervisor would have to close it.
      shutdown(orders[0], Int32(SHUT_RD))
      let reports = try pair(wsgi_posix_report_pipe)
      let output = try pair(wsgi_posix_output_pipe)
      // So that a program of the group's user may open /dev/stderr.
      if let credentials = settings.credentials { _ = fchown(output[1], credentials.user, credentials.group) }
      let relayedReports = try pair { wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), $0) }
      let relayedOutput = try pair { wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), $0) }
      let file = settings.makeFile()
      guard file >= 0 else { throw LaunchFailure(what: "cannot create a memory file for the settings", errno: -file) }
      opened.append(file)
      let sessions = SessionQueues.readEnd(of: sessionSlot, kept: group.sessionQueues)
      if sessions >= 0 { opened.append(sessions) }
      // No tenant has a pipe before its only reader has left this process.
      let relay = try execute(
        Relay.arguments(group.plan), [],
        Relay.descriptors(
          reports: reports[0], output: output[0], toSupervisor: (relayedReports[1], relayedOutput[1]), null: nullDevice),
        given: [reports[0], output[0], relayedReports[1], relayedOutput[1]])
      unattended.append(relay)
      let descriptors = WorkerDescriptor.list(input: nullDevice, output: output[1]) {
        switch $0 {
        case .settings: file
        case .orders: orders[1]
        case .reports: reports[1]
        // A preloader's forks find there what they are asked for.
        case .activity: group.activity >= 0 ? group.activity : nullDevice
        // It serves nothing itself.
        case _ where settings.isPreloader: nullDevice
        case .queue: group.queue.readEnd
        case .shared: group.sharedFile >= 0 ? group.sharedFile : nullDevice
        case .sessions: sessions >= 0 ? sessions : nullDevice
        }
      }
      let given = [output[1], file, orders[1], reports[1]] + (sessions >= 0 ? [sessions] : [])
      let pid: Int32
      if let preloader {
        let failure = order(preloader, descriptors)
        guard failure == 0 else { throw LaunchFailure(what: "cannot have it forked", errno: failure) }
        closeAll(given)
        pid = 0
      } else {
        let mark = settings.isPreloader ? [Array(Preloading.mark.utf8)] : []
        pid = try execute(group.plan.arguments + mark, group.plan.environment, descriptors, given: given)
      }
      unattended.removeAll { $0 == relay }
      let ends = DescriptorStore.Ends(
        instance: settings.instance, orders: orders[0], reports: relayedReports[0], output: relayedOutput[0])
      return .success(Launched(pid: pid, relay: relay, ends: ends))
    } catch {
      closeAll(opened)
      return .failure(error)
    }
  }

  func execute(
    _ program: [UInt8], _ arguments: [[UInt8]], _ environment: [[UInt8]], _ descriptors: [Int32], _ given: [Int32]
  ) -> Int32 {
    guard descriptors.count == Int(WSGI_POSIX_LAST_DESCRIPTOR) + 1 else { return -EINVAL }
    return withCStrings([program]) { program in
      withCStrings(arguments) { arguments in
        withCStrings(environment) { environment in
          program[0].map { wsgi_posix_launch($0, arguments, environment, descriptors, given, given.count) } ?? -EINVAL
        }
      }
    }
  }

  private func closeAll(_ descriptors: [Int32]) {
    for descriptor in descriptors where descriptor >= 0 { close(descriptor) }
  }
}

/// Gives `body` the texts as C strings with a null pointer behind the last.
private func withCStrings<R>(_ texts: [[UInt8]], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
  var pointers: [UnsafeMutablePointer<CChar>?] = texts.map { text in
    let copy = UnsafeMutablePointer<CChar>.allocate(capacity: text.count &+ 1)
    for (index, byte) in text.enumerated() { copy[index] = CChar(bitPattern: byte) }
    copy[text.count] = 0
    return copy
  }
  defer { for pointer in pointers { pointer?.deallocate() } }
  pointers.append(nil)
  return body(pointers)
}
