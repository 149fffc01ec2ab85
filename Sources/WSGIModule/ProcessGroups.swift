import CHTTPD
import DaemonTransport
import Glibc
import ProcessSupervision
import WSGIConfig
import WSGICore
import WSGIStatus

/// The process groups of one configuration: their queues, and the supervisor that keeps their workers.
///
/// Made in the parent before httpd has children. It outlives its configuration in the parent: old children may have requests
/// with old workers, and their supervisor is started again if it dies. `living` keeps it until that has ended for good.
final class ProcessGroups: DaemonGroups, @unchecked Sendable {
  // Changed on the parent's main thread only; what children read is constant in them.
  let supervised: SupervisedGeneration
  private let endpoints: [DaemonEndpoint?]
  /// What each group's threads do, for the status page; nil where there are none, or no memory was to be had.
  private let activity: [ActivityPages?]
  let ledger: QueueLedger?
  let refusals: RefusalPace
  let logShares: LogShares?
  private let logs: LogTargets
  /// When the next supervisor may be started, in microseconds of the monotonic clock; nil: none is wanted.
  private var restart: Int64?
  private var isOver = false

  /// SAFETY: the parent's main thread only; a child empties it before it has threads.
  nonisolated(unsafe) private static var living: [ProcessGroups] = []

  private init(
    _ supervised: SupervisedGeneration, _ endpoints: [DaemonEndpoint?], _ activity: [ActivityPages?],
    _ ledger: QueueLedger?, _ logs: LogTargets
  ) {
    self.activity = activity
    self.supervised = supervised
    self.endpoints = endpoints
    self.ledger = ledger
    refusals = RefusalPace(groups: endpoints.count)
    logShares = LogShares(groups: endpoints.count)
    self.logs = logs
  }

  /// Makes the queues; nil where there are no groups, or no memory for them (which has been logged).
  static func make(_ generation: Generation) -> ProcessGroups? {
    let groups = generation.configuration.groups
    guard !groups.isEmpty else { return nil }
    let facts = wsgi_httpd_get_facts()
    let logs = LogTargets(generation)
    var plans: [SupervisedGroup] = []
    var writeEnds: [Int32] = []
    var endpoints: [DaemonEndpoint?] = []
    let seats = Generation.seats(facts)
    var activity: [ActivityPages?] = []
    for (index, group) in groups.enumerated() {
      var plan = GroupPlan(group, generation, facts)
      let ends = plan.problem == nil ? queue(group, &plan) : nil
      if let problem = plan.problem {
        log(.alert, logs.server(of: index), "WSGI0359: Process group '\(group.name)' cannot be started: \(problem).")
      }
      plan.supervised.queue = ends?.read ?? -1
      // More threads than the MPM's own: those of HTTP/2. Where there is no board, causes of death are told by their time.
      let takers = ends.flatMap { _ in TakerBoard.make(children: seats, threads: Int(facts.maximum_threads) &* 2 &+ 8) }
      plan.supervised.sharedFile = takers?.file ?? -1
      let pages = ends == nil ? nil : ActivityPages(processes: group.worker.processes, threads: group.worker.threads)
      plan.supervised.activity = pages?.descriptor ?? -1
      activity.append(pages)
      plans.append(plan.supervised)
      writeEnds.append(ends?.write ?? -1)
      endpoints.append(
        ends.map {
          var endpoint = DaemonEndpoint(index, queue: $0.write, group, logs.server(of: index), facts)
          endpoint.takers = takers?.board
          endpoint.acceptsDescriptors = ProcessGroups.isTrusted(plan.supervised)
          return endpoint
        })
    }
    let host = SupervisorHost(
      log: { record in logs.write(record) }, metrics: { Scoreboard.pairs() },
      makeQueue: { index in groups.indices.contains(index) ? try? queue(backlog: groups[index].listenBacklog) : nil })
    guard let supervised = SupervisedGeneration(groups: plans, writeEnds: writeEnds, host: host) else {
      log(.alert, generation.mainServer, "WSGI0356: No memory or descriptors for process groups; none is started.")
      return nil
    }
    for index in endpoints.indices { endpoints[index]?.renewal = supervised.renewal(of: index) }
    let shares = ThreadShares(
      children: Int(facts.maximum_processes), threads: Int(facts.maximum_threads), users: plans.map(\.userOfRequests))
    let ledger = QueueLedger(groups: groups.count, seats: seats, shares: shares)
    let made = ProcessGroups(supervised, endpoints, activity, ledger, logs)
    living.append(made)
    return made
  }

  /// Whether the group's processes have httpd's own user.
  private static func isTrusted(_ group: SupervisedGroup) -> Bool {
    guard let credentials = group.settings.credentials else { return true }
    var userID: UInt32 = 0
    var groupID: UInt32 = 0
    _ = wsgi_httpd_user(&userID, &groupID)
    return credentials.user == userID
  }

  private static func queue(_ group: WSGIConfig.DaemonGroup, _ plan: inout GroupPlan) -> (read: Int32, write: Int32)? {
    do throws(QueueFailure) {
      return try queue(backlog: group.listenBacklog)
    } catch {
      if case .notMade(let number) = error { plan.problem = "its queue cannot be made: \(String(cString: strerror(number)))" }
      return nil
    }
  }

  /// Both ends belong to the generation from here on; the queue's own are closed with it.
  private static func queue(backlog: Int) throws(QueueFailure) -> (read: Int32, write: Int32) {
    let queue = try RequestQueue(backlog: backlog)
    let ends = (read: fcntl(queue.readEnd.number, F_DUPFD_CLOEXEC, 0), write: fcntl(queue.writeEnd.number, F_DUPFD_CLOEXEC, 0))
    guard ends.read >= 0, ends.write >= 0 else {
      let number = errno
      if ends.read >= 0 { close(ends.read) }
      throw .notMade(errno: number)
    }
    return ends
  }

  // MARK: in the parent

  /// Starts the supervisor, which starts the workers.
  func startSupervisor() {
    restart = nil
    guard supervised.hasWork, supervised.supervisor == 0, !isOver || supervised.hasStarted else { return }
    let earlier = ProcessGroups.living.filter { $0 !== self }.flatMap { $0.supervised.services() }
    let failure = supervised.start(after: earlier) {
      // What the supervisor inherits of httpd and of other generations is none of its business.
      wsgi_httpd_close_listeners()
      for other in ProcessGroups.living where other !== self { other.supervised.leave() }
    }
    if failure != 0 {
      log(
        .alert, logs.mainServer,
        "WSGI0357: The supervisor of the process groups cannot be started: \(String(cString: strerror(failure))).")
      restart = ProcessGroups.now() &+ 1_000_000
      return
    }
    let context = Unmanaged.passRetained(self).toOpaque()
    guard let server = logs.anyServer, wsgi_httpd_watch_process(server, supervised.supervisor, context) == 0 else {
      Unmanaged<ProcessGroups>.fromOpaque(context).release()
      return
    }
  }

  fileprivate func supervisorEnded(_ code: Int32) {
    switch supervised.supervisorEnded(code: code < 0 ? nil : code) {
    case .discard: discard()
    case .restartNow:
      log(
        .error, logs.mainServer,
        "WSGI0358: The supervisor of the process groups ended unexpectedly; another takes over. Workers live on.")
      startSupervisor()
    case .restart(let notBefore):
      log(.error, logs.mainServer, "WSGI0358: The supervisor of the process groups ended unexpectedly again; it is restarted.")
      restart = notBefore
    }
  }

  /// Nothing of the generation lives any more.
  private func discard() {
    supervised.discard()
    ledger?.unmap()
    logShares?.unmap()
    for endpoint in endpoints { endpoint?.takers?.unmap() }
    for pages in activity { pages?.unmap() }
    ProcessGroups.living.removeAll { $0 === self }
  }

  /// httpd throws the configuration away, to read it again or to end.
  func configurationEnded() {
    isOver = true
    supervised.closeWriteEnds()
    logs.forget()
    guard supervised.supervisor > 0 else {
      if restart == nil { discard() }
      return
    }
    guard wsgi_httpd_is_exiting() != 0 else {
      // Then nobody waits for an answer any more, and what applications had started ends, as in httpd's own process group.
      if wsgi_httpd_is_ungraceful() != 0 {
        for groups in ProcessGroups.living { groups.supervised.orderStop() }
      }
      return
    }
    // All at once, then wait for all: older generations may still be draining.
    for groups in ProcessGroups.living { groups.supervised.orderStop() }
    for groups in ProcessGroups.living { groups.supervised.waitForStop() }
  }

  static func startPending() {
    for groups in living {
      groups.supervised.takeOverRenewedQueues()
      if let restart = groups.restart, restart <= now() { groups.startSupervisor() }
    }
  }

  static func reclaim(_ pid: Int32) {
    for groups in living { groups.ledger?.reclaim(pid: pid) }
  }

  private static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) &* 1_000_000 &+ Int64(time.tv_nsec) / 1000
  }

  // MARK: in httpd's children

  /// The calling process is a fresh child of httpd.
  static func becomeChild(of current: ProcessGroups?) {
    for groups in living where groups !== current { groups.supervised.leave() }
    current?.supervised.becomeChild()
    living = []
  }

  func endpoint(of group: Int) -> DaemonEndpoint? { endpoints.indices.contains(group) ? endpoints[group] : nil }

  /// What a process's threads do, as it says; nil: not known.
  func activity(of process: Board.Process, in group: Int) -> ActivityPages.Activity? {
    guard activity.indices.contains(group), process.state != .starting, process.state != .candidate else { return nil }
    return activity[group]?.activity(ofSlot: process.slot)
  }

  func isServed(_ group: Int) -> Bool { !isStarting(group) || supervised.board.state(ofGroup: group).isServed }

  func isStarting(_ group: Int) -> Bool { supervised.board.ready(ofGroup: group) == 0 }

  func end(of pid: UInt32, in group: Int) -> ProcessEnd? {
    let recent = epochNow() &- (pid == 0 ? ProcessGroups.namelessAge : ProcessGroups.causeAge)
    let end = supervised.board.end(
      ofGroup: group, pid: pid == 0 ? nil : Int32(truncatingIfNeeded: pid), since: recent, waiting: ProcessGroups.causePatience)
    return end.map {
      ProcessEnd(
        pid: UInt32(truncatingIfNeeded: $0.pid), sentence: $0.sentence,
        isTimeout: $0.reason == .requestTimeout || $0.reason == .deadlockTimeout)
    }
  }

  /// A process that ended longer ago (in microseconds) was another one with the same number.
  private static let causeAge: Int64 = 60_000_000
  /// Where it is not known which process it was: its channel closes when it ends, and the supervisor hears of it a moment later.
  private static let namelessAge: Int64 = 200_000
  /// How long the supervisor may need to find out, in milliseconds.
  private static let causePatience = 500
}

/// Whose ErrorLog the groups' records go to. A supervisor that is started after its configuration has gone has none of its
/// servers any more, and writes to the main log.
final class LogTargets {
  private var servers: [OpaquePointer]
  private(set) var mainServer: OpaquePointer?

  init(_ generation: Generation) {
    // A server's id is its address; 0 stands for the main one.
    servers = generation.configuration.groups.map { OpaquePointer(bitPattern: $0.server.id) ?? generation.mainServer }
    mainServer = generation.mainServer
  }

  /// A server that lives: that of the newest configuration, where this one's are gone.
  var anyServer: OpaquePointer? { mainServer ?? Generation.current?.mainServer }

  func server(of group: Int) -> OpaquePointer? { servers.indices.contains(group) ? servers[group] : mainServer }

  func forget() {
    servers = []
    mainServer = nil
  }

  func write(_ record: SupervisorLog) {
    let target = record.group.flatMap { server(of: $0) } ?? mainServer
    record.text.withUnsafeBytes { text in
      if record.file.isEmpty {
        logServer(record.level, target, text, file: nil, line: record.line)
      } else {
        withCString(ByteText(record.file)) { logServer(record.level, target, text, file: $0, line: record.line) }
      }
    }
  }
}

extension SupervisedGroup {
  /// The user id of the group's processes; nil where they answer no requests.
  fileprivate var userOfRequests: UInt32? {
    guard queue >= 0, !settings.isService else { return nil }
    return settings.credentials?.user ?? geteuid()
  }
}

extension DaemonEndpoint {
  /// The limits that a group's directive sets for httpd's children.
  fileprivate init(
    _ index: Int, queue: Int32, _ group: WSGIConfig.DaemonGroup, _ server: OpaquePointer?, _ facts: wsgi_httpd_facts
  ) {
    self.init(index: index, queue: queue)
    let httpdThreads = Int(facts.maximum_processes) &* Int(facts.maximum_threads)
    inFlightLimit = Int32(clamping: group.inFlightLimit(httpdThreads: httpdThreads))
    attempts = UInt32(clamping: group.attempts)
    connectTimeout = group.worker.connectTimeout
    queueTimeout = group.worker.queueTimeout
    socketTimeout =
      group.worker.socketTimeout > 0
      ? group.worker.socketTimeout : server.map { wsgi_httpd_server_timeout_milliseconds($0) } ?? socketTimeout
    flushDelay = Int64(group.responseFlushDelay)
    flushSize = group.responseBufferSize
    sendBuffer = Int32(clamping: group.sendBufferSize)
    receiveBuffer = Int32(clamping: group.receiveBufferSize)
  }
}

@c @implementation
func wsgi_swift_supervisor_ended(_ context: UnsafeMutableRawPointer, _ code: Int32) {
  Unmanaged<ProcessGroups>.fromOpaque(context).takeRetainedValue().supervisorEnded(code)
}

@c @implementation
func wsgi_swift_scoreboard_is_there() { Generation.current?.processGroups?.startSupervisor() }

@c @implementation
func wsgi_swift_monitor() { ProcessGroups.startPending() }

@c @implementation
func wsgi_swift_httpd_child_ended(_ pid: Int32) {
  ProcessGroups.reclaim(pid)
  Generation.current?.tally?.vacate(pid: pid)
}
