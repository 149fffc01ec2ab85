import CHTTPD
import Glibc
import Platform
import ProcessSupervision
import RequestCounting
import WSGIConfig
import WSGICore

/// The process groups of one configuration as httpd's parent has them: the supervisor that keeps their workers, and what must
/// be given back when the last of them has ended.
///
/// Made in the parent before httpd has children. It outlives its configuration in the parent: old children may have requests
/// with old workers, and their supervisor is started again if it dies. `living` keeps it until that has ended for good.
final class ProcessGroups {
  private let supervisor: SupervisorHandle
  private let groups: [ChildGroup]
  private let book: RequestBook
  private let logs: LogTargets
  /// When the next supervisor may be started, in microseconds of the monotonic clock; nil: none is wanted.
  private var restart: Int64?
  private var isOver = false

  /// SAFETY: the parent's main thread only; a child empties it before it has threads.
  nonisolated(unsafe) private static var living: [ProcessGroups] = []

  private init(_ supervisor: SupervisorHandle, _ groups: [ChildGroup], _ book: RequestBook, _ logs: LogTargets) {
    self.supervisor = supervisor
    self.groups = groups
    self.book = book
    self.logs = logs
  }

  /// Makes the groups and their queues. Those that cannot be started have none, which has been logged.
  static func make(_ generation: Generation) -> (groups: [ChildGroup], made: ProcessGroups?) {
    let configs = generation.configuration.groups
    guard !configs.isEmpty else {
      ControlSocketFile.remove()
      return ([], nil)
    }
    let logs = LogTargets(generation)
    let parts = configs.enumerated().map { GroupParts($0.element, $0.offset, generation, logs) }
    let callbacks = SupervisorCallbacks(log: { logs.write($0, of: nil) }, metrics: { Scoreboard.pairs() })
    guard let book = generation.book,
      let supervisor = SupervisorHandle(
        groups: parts.map(\.plan), children: Generation.seats(wsgi_httpd_get_facts()),
        listener: ControlSocketFile.listen(generation), callbacks: callbacks)
    else {
      log(.alert, generation.mainServer, "WSGI0356: Cannot start any process group: out of memory or file descriptors.")
      return (parts.enumerated().compactMap { $0.element.childGroup($0.offset, generation, nil) }, nil)
    }
    let groups = parts.enumerated().compactMap {
      $0.element.childGroup($0.offset, generation, supervisor.memory.reader($0.offset))
    }
    let made = ProcessGroups(supervisor, groups, book, logs)
    living.append(made)
    return (groups, made)
  }

  // MARK: in the parent

  /// Starts the supervisor, which starts the workers.
  func startSupervisor() {
    restart = nil
    guard supervisor.hasWork, supervisor.pid == 0, !isOver || supervisor.hasStarted else { return }
    let earlier = ProcessGroups.living.filter { $0 !== self }.flatMap { $0.supervisor.services() }
    let failure = supervisor.start(after: earlier) {
      // The supervisor needs nothing that it inherits from httpd and from other generations.
      wsgi_httpd_close_listeners()
      for other in ProcessGroups.living where other !== self { other.supervisor.leave() }
    }
    if failure != 0 {
      log(
        .alert, logs.mainServer,
        "WSGI0357: Cannot start the supervisor of the process groups: \(String(cString: strerror(failure))).")
      restart = Clock.monotonicMicroseconds() &+ 1_000_000
      return
    }
    let context = Unmanaged.passRetained(self).toOpaque()
    guard let server = logs.anyServer, wsgi_httpd_watch_process(server, supervisor.pid, context) == 0 else {
      Unmanaged<ProcessGroups>.fromOpaque(context).release()
      return
    }
  }

  fileprivate func supervisorEnded(_ code: Int32) {
    switch supervisor.hasEnded(code: code < 0 ? nil : code) {
    case .discard: discard()
    case .restart(let wait):
      log(
        .error, logs.mainServer,
        "WSGI0358: The supervisor of the process groups ended unexpectedly; starting another"
          + "\(wait > 0 ? ", which waits for \(wait) ms first" : ""). Daemon processes keep running.")
      startSupervisor()
    }
  }

  /// Nothing of the generation lives any more.
  private func discard() {
    supervisor.discard()
    book.unmap()
    for group in groups { group.unmap() }
    ProcessGroups.living.removeAll { $0 === self }
  }

  /// httpd throws the configuration away, to read it again or to end.
  func configurationEnded() {
    isOver = true
    supervisor.closeWriteEnds()
    logs.forget()
    guard supervisor.pid > 0 else {
      if restart == nil { discard() }
      return
    }
    guard wsgi_httpd_is_exiting() != 0 else {
      // Then no client waits for an answer any more, and programs that applications started end, as in httpd's process group.
      if wsgi_httpd_is_ungraceful() != 0 {
        for groups in ProcessGroups.living { groups.supervisor.orderStop() }
      }
      return
    }
    ControlSocketFile.remove()
    // All at once, then wait for all: older generations may still be draining.
    for groups in ProcessGroups.living { groups.supervisor.orderStop() }
    for groups in ProcessGroups.living { groups.supervisor.waitForStop() }
  }

  static func startPending() {
    for groups in living {
      groups.supervisor.takeOverRenewedQueues()
      if let restart = groups.restart, restart <= Clock.monotonicMicroseconds() { groups.startSupervisor() }
    }
  }

  static func reclaim(_ pid: Int32) {
    for groups in living {
      groups.book.vacate(pid: pid)
      groups.supervisor.reclaim(pid: pid)
    }
  }

  // MARK: in httpd's children

  /// That of the group in a place, for reading.
  func scoreboard(_ place: Int) -> GroupScoreboard? { supervisor.memory.reader(place) }

  func makeAsker() -> GroupActivation.Asker? { supervisor.makeAsker() }

  /// The calling process is a fresh child of httpd.
  static func becomeChild(of current: ProcessGroups?) {
    for groups in living where groups !== current { groups.supervisor.leave() }
    for group in current?.groups ?? [] { group.sessions?.open() }
    current?.supervisor.becomeChild()
    living = []
  }
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

  /// `group`: its place in the configuration; nil: none in particular.
  func write(_ record: LogRecord, of group: Int?) {
    let target = group.flatMap { server(of: $0) } ?? mainServer
    record.text.withUnsafeBytes { text in
      if record.file.isEmpty {
        logServer(record.level, target, text, file: nil, line: record.line)
      } else {
        withCString(ByteText(record.file)) { logServer(record.level, target, text, file: $0, line: record.line) }
      }
    }
  }
}

@c @implementation
func wsgi_swift_supervisor_ended(_ context: UnsafeMutableRawPointer, _ code: Int32) {
  Unmanaged<ProcessGroups>.fromOpaque(context).takeRetainedValue().supervisorEnded(code)
}

@c @implementation
func wsgi_swift_monitor(_ pool: OpaquePointer, _ mainServer: OpaquePointer) -> Int32 {
  ProcessGroups.startPending()
  return HookResult.declined
}

@c @implementation
func wsgi_swift_httpd_child_ended(_ pid: Int32) {
  ProcessGroups.reclaim(pid)
  Generation.current?.book?.vacate(pid: pid)
}
