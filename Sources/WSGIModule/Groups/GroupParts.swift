import CHTTPD
import DaemonTransport
import Glibc
import Platform
import ProcessSupervision
import RequestCounting
import WSGIConfig
import WSGICore

/// The parts of a process group that the parent makes before it forks: the plan for the supervisor, and the shared memory and
/// queue for httpd's children.
struct GroupParts {
  private(set) var plan: GroupPlan
  private let config: GroupConfig
  private var owners: RequestOwners?
  private var workers: WorkerScoreboard?
  private var sessions: SessionSlots?
  private let server: OpaquePointer?

  /// `place`: that in the configuration. Where the group cannot be started its plan has no queue, which has been logged.
  init(_ config: GroupConfig, _ place: Int, _ generation: Generation, _ logs: LogTargets) {
    self.config = config
    SessionSlots.prepare(for: config)
    server = logs.server(of: place)
    let facts = wsgi_httpd_get_facts()
    let surroundings = GroupPlan.Surroundings(config, generation)
    let backlog = config.listenBacklog
    func complete(_ plan: GroupPlan) -> GroupPlan {
      var plan = plan
      plan.log = { logs.write($0, of: place) }
      plan.makeQueue = { try? GroupParts.queue(backlog: backlog) }
      return plan
    }
    plan = complete(GroupPlan(config, surroundings))
    do throws(Problem) {
      if let problem = GroupPlan.problem { throw Problem(sentence: problem) }
      if config.minimumProcesses == 0 || config.template != nil {
        let makeFiles = { GroupParts.files(of: config, facts) }
        plan.makeFiles = makeFiles
        plan.template = TemplatePlan(config, place, generation) { tenant, entry in
          var plan = complete(GroupPlan(config, for: tenant, entry, surroundings))
          plan.makeFiles = makeFiles
          return plan
        }
        return
      }
      try addQueue(backlog)
    } catch {
      log(.alert, server, "WSGI0359: Process group '\(config.name)' cannot be started: \(error.sentence).")
      return
    }
    // Without a note of which process has a request, causes of death are found by
    // their time.
    let made = RequestOwners.make(children: Generation.seats(facts), threads: Generation.ownerThreads)
    owners = made?.board
    plan.sharedFile = made?.file ?? -1
    workers = WorkerScoreboard(processes: config.settings.processes, threads: config.settings.threads)
    plan.activity = workers?.descriptor ?? -1
    plan.workers = workers
    // Requests are taken back from a slot by their note on the board.
    if owners != nil { plan.sessionQueues = GroupParts.sessionQueues(of: config) }
    sessions = SessionSlots(config, kept: plan.sessionQueues)
    if plan.sessionSlots > 0, sessions == nil { log(.warning, server, plan.lackOfSessions(errno)) }
  }

  /// Why the group cannot be started, as the end of a sentence.
  private struct Problem: Error {
    var sentence: String
  }

  private mutating func addQueue(_ backlog: Int) throws(Problem) {
    do throws(QueueFailure) {
      let ends = try GroupParts.queue(backlog: backlog)
      guard let queue = RenewableQueue.make(ends) else { throw QueueFailure(errno: errno) }
      plan.queue = queue
    } catch {
      throw Problem(sentence: "its queue cannot be made: \(String(cString: strerror(error.errno)))")
    }
  }

  /// All descriptors of a group that is made on demand; they become the caller's.
  private static func files(of config: GroupConfig, _ facts: wsgi_httpd_facts) -> GroupFiles? {
    guard let ends = try? queue(backlog: config.listenBacklog) else { return nil }
    var files = GroupFiles(readEnd: ends.read, writeEnd: ends.write)
    if let owners = RequestOwners.make(children: Generation.seats(facts), threads: Generation.ownerThreads) {
      files.owners = owners.file
      owners.board.unmap()
    }
    if let workers = WorkerScoreboard(processes: config.settings.processes, threads: config.settings.threads) {
      files.activity = workers.descriptor
      workers.unmap()
    }
    files.sessions = GroupParts.sessionQueues(of: config)
    if files.owners >= 0, files.activity >= 0 { return files }
    files.closeAll()
    return nil
  }

  /// Both ends belong to the caller from here on; the queue's own are closed with it.
  private static func queue(backlog: Int) throws(QueueFailure) -> RenewableQueue.Ends {
    let queue = try RequestQueue(backlog: backlog)
    let ends = (read: fcntl(queue.readEnd.number, F_DUPFD_CLOEXEC, 0), write: fcntl(queue.writeEnd.number, F_DUPFD_CLOEXEC, 0))
    guard ends.read >= 0, ends.write >= 0 else {
      let number = errno
      if ends.read >= 0 { close(ends.read) }
      throw QueueFailure(errno: number)
    }
    return ends
  }

  /// Makes the queues of a group's slots, and what keeps them; -1: it has none, or they cannot be made, which errno explains.
  private static func sessionQueues(of group: GroupConfig) -> Int32 {
    guard group.stickySessions != nil, !group.settings.isService else { return -1 }
    var queues: [RenewableQueue.Ends] = []
    for _ in 0..<group.settings.processes {
      do throws(QueueFailure) {
        queues.append(try queue(backlog: group.listenBacklog))
      } catch {
        for queue in queues {
          close(queue.read)
          close(queue.write)
        }
        errno = error.errno
        return -1
      }
    }
    return SessionQueues.keep(queues)
  }

  /// The group for httpd's children; nil: there is no memory for the book. `scoreboard`: nil if nothing is started.
  func childGroup(_ place: Int, _ generation: Generation, _ scoreboard: GroupScoreboard?) -> ChildGroup? {
    guard let row = generation.row(place, for: config) else { return nil }
    guard let scoreboard, !config.settings.isService, plan.queue.readEnd >= 0 || plan.makeFiles != nil else {
      return ChildGroup(config, row, scoreboard: scoreboard)
    }
    var queue = GroupQueue(row, plan.queue, config, server, wsgi_httpd_get_facts())
    queue.owners = owners
    queue.acceptsDescriptors = isTrusted
    return ChildGroup(config, row, queue: queue, scoreboard: scoreboard, workers: workers, sessions: sessions)
  }

  /// Whether the group's processes have httpd's own user.
  private var isTrusted: Bool {
    guard config.template?.runsAsOwner != true else { return false }
    return plan.settings.credentials.map { $0.user == wsgi_httpd_get_identity().user } ?? true
  }
}

extension GroupQueue {
  /// The limits that a group's directive sets for httpd's children.
  fileprivate init(
    _ row: RequestBook.Row, _ queue: RenewableQueue, _ group: GroupConfig, _ server: OpaquePointer?,
    _ facts: wsgi_httpd_facts
  ) {
    self.init(row: row, writeEnd: queue.writeEnd)
    renewal = queue.offered
    let httpdThreads = Int(facts.maximum_processes) &* Int(facts.maximum_threads)
    inFlightLimit = group.inFlightLimit(httpdThreads: httpdThreads)
    attempts = UInt32(clamping: group.attempts)
    connectTimeout = group.settings.connectTimeout
    queueTimeout = group.settings.queueTimeout
    socketTimeout =
      group.settings.socketTimeout > 0
      ? group.settings.socketTimeout : server.map { wsgi_httpd_server_timeout_milliseconds($0) } ?? socketTimeout
    flushDelay = Int64(group.responseFlushDelay)
    flushSize = group.responseBufferSize
    responseSpool = group.responseSpool
    spoolLimit = group.spoolLimit
    sendBuffer = Int32(clamping: group.sendBufferSize)
    receiveBuffer = Int32(clamping: group.receiveBufferSize)
  }
}
