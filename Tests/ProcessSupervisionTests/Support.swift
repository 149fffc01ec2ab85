import CPosix
import Glibc
import Platform
import Synchronization
import Testing
import WSGICore

@testable import ProcessSupervision

/// Programs that the package builds lie beside the tests' own.
let probe: String = {
  var buffer = [CChar](repeating: 0, count: 4096)
  let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
  let path = String(decoding: buffer[0..<max(count, 0)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  return path.prefix(through: path.lastIndex(of: "/") ?? path.startIndex) + "SupervisionProbe"
}()

/// Starts the probe, whose further descriptors are its input's too. The result is its id, or a negated errno value.
func startProbe(_ words: [String], input: Int32, output: Int32) -> Int32 {
  let arguments = (["probe"] + words).map { strdup($0) }
  defer { for argument in arguments { free(argument) } }
  let none: [UnsafeMutablePointer<CChar>?] = [nil]
  let rest = [Int32](repeating: input, count: Int(WSGI_POSIX_LAST_DESCRIPTOR) - 2)
  return wsgi_posix_launch(probe, arguments + [nil], none, [input, output, STDERR_FILENO] + rest, [], 0)
}

/// What the probe prints as it does a `ProbeTask`; records an issue when it does not end well.
func probeOutput(_ task: String, input: Int32 = STDIN_FILENO) throws -> String {
  var ends: [Int32] = [-1, -1]
  try #require(wsgi_posix_output_pipe(&ends) == 0)
  defer { close(ends[0]) }
  let pid = startProbe([task], input: input, output: ends[1])
  close(ends[1])
  try #require(pid > 0)
  var end = wsgi_posix_end()
  if !wait("the probe ends", until: { wsgi_posix_reap(pid, &end) == 1 }) {
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
  }
  #expect(end.code == 0 && end.signal == 0)
  var buffer = [UInt8](repeating: 0, count: 4096)
  let count = read(ends[0], &buffer, buffer.count)
  return String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
}

/// Waits for a condition; records an issue when it has not come true in time.
@discardableResult
func wait(
  _ what: String, seconds: Int = 60, at location: SourceLocation = #_sourceLocation, until condition: () -> Bool
) -> Bool {
  let deadline = Clock.monotonicMicroseconds() + Int64(seconds) * 1_000_000
  while !condition() {
    guard Clock.monotonicMicroseconds() < deadline else {
      Issue.record("not in \(seconds) s: \(what)", sourceLocation: location)
      return false
    }
    usleep(2_000)
  }
  return true
}

/// Whether the other end is closed. A program that another test starts has copies of all descriptors for a moment: wait for it.
func isLeft(_ descriptor: Int32) -> Bool {
  var entry = pollfd(fd: descriptor, events: 0, revents: 0)
  return poll(&entry, 1, 0) == 1
}

func contents(_ path: String) -> String? {
  let file = open(path, O_RDONLY)
  guard file >= 0 else { return nil }
  defer { close(file) }
  var bytes = [UInt8](repeating: 0, count: 65536)
  let count = read(file, &bytes, bytes.count)
  return count < 0 ? nil : String(decoding: bytes[0..<count], as: UTF8.self)
}

/// The fields of /proc/<pid>/status.
func status(of pid: Int32) -> [String: String] {
  var fields: [String: String] = [:]
  for line in (contents("/proc/\(pid)/status") ?? "").split(separator: "\n") {
    let parts = line.split(separator: ":", maxSplits: 1)
    if parts.count == 2 { fields[String(parts[0])] = parts[1].split(whereSeparator: \.isWhitespace).joined(separator: " ") }
  }
  return fields
}

func isAlive(_ pid: Int32) -> Bool {
  guard kill(pid, 0) == 0 else { return false }
  return status(of: pid)["State"]?.hasPrefix("Z") == false
}

/// The open descriptors of a process.
func descriptors(of pid: Int32) -> [Int32] {
  guard let directory = opendir("/proc/\(pid)/fd") else { return [] }
  defer { closedir(directory) }
  var found: [Int32] = []
  while let entry = readdir(directory) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if let number = Int32(name) { found.append(number) }
  }
  return found.sorted()
}

/// Where a symbolic link of /proc leads.
func link(_ path: String) -> String {
  var buffer = [CChar](repeating: 0, count: 4096)
  let count = readlink(path, &buffer, buffer.count - 1)
  return String(decoding: buffer[0..<max(count, 0)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// A directory of a test's own, writable by everybody, gone at its end.
final class ScratchDirectory: Sendable {
  let path: String

  init() {
    var template = Array("/tmp/wsgi-supervision-XXXXXX".utf8CString)
    path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    chmod(path, 0o777)
  }

  deinit {
    guard let directory = opendir(path) else { return }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      unlink("\(path)/\(name)")
    }
    closedir(directory)
    rmdir(path)
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// Supervisors on threads of the test process, with groups of probes.
final class SupervisionCase: Sendable {
  struct Group {
    var name: String
    var probe: String
    var processes = 1
    var settings = WorkerSettings()
    var keepsOldCode = false
    var preloads = false
    /// Sessions stay with its processes.
    var isSticky = false

    init(_ name: String = "g", _ probe: String, processes: Int = 1) {
      self.name = name
      self.probe = probe
      self.processes = processes
      settings.processGroup = Array(name.utf8)
    }
  }

  private let memory: ScoreboardMemory
  private let boards: [GroupScoreboard]
  let scratch = ScratchDirectory()
  private let store: DescriptorStore
  private let commands: [Int32]
  private let readEnds: [Int32]
  private let writeEnds: Mutex<[Int32]>
  private let logged = Mutex<[(group: Int?, record: LogRecord)]>([])
  private let isOver = Atomic<Bool>(false)

  init(_ groups: [Group], metrics: (@Sendable () -> [UInt8]?)? = nil) throws {
    let memory = try #require(ScoreboardMemory.make(processes: groups.map(\.processes)))
    self.memory = memory
    boards = groups.indices.compactMap { memory.reader($0) }
    store = try #require(DescriptorStore.make(capacity: 100))
    var pair: [Int32] = [-1, -1]
    try #require(wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &pair) == 0)
    commands = pair
    var plans: [GroupPlan] = []
    var readers: [Int32] = []
    var writers: [Int32] = []
    for group in groups {
      var queue: [Int32] = [-1, -1]
      try #require(wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &queue) == 0)
      writers.append(queue[0])
      readers.append(queue[1])
      var settings = group.settings
      settings.serverMetrics = metrics != nil
      let commands = group.probe.replacing("%T", with: scratch.path)
      var plan = GroupPlan(
        name: group.name, processes: group.processes, settings: settings, program: Array(probe.utf8),
        arguments: [Array("(wsgi:\(group.name))".utf8)], environment: [Array("PROBE=\(commands)".utf8)],
        keepsOldCode: group.keepsOldCode)
      plan.preloads = group.preloads
      plan.queue = RenewableQueue(readEnd: queue[1], writeEnd: -1, offered: -1, offer: -1)
      if group.isSticky {
        plan.sessionSlots = group.processes
        plan.sessionQueues = SessionQueues.keep(
          try (0..<group.processes).map { _ in
            var ends: [Int32] = [-1, -1]
            try #require(wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends) == 0)
            return (read: ends[1], write: ends[0])
          })
      }
      plans.append(plan)
    }
    readEnds = readers
    writeEnds = Mutex(writers)
    for index in plans.indices {
      plans[index].log = { [self] record in logged.withLock { $0.append((index, record)) } }
    }
    let callbacks = SupervisorCallbacks(
      log: { [self] record in logged.withLock { $0.append((nil, record)) } }, metrics: { metrics.flatMap { $0() } })
    let supervisor = Supervisor(
      groups: plans, memory: memory, store: store, commands: pair[1], parent: getppid(), callbacks: callbacks)
    supervisor.reapsStrangers = false
    let body = Unmanaged.passRetained(
      ThreadBody {
        supervisor.run()
        self.isOver.store(true, ordering: .releasing)
      })
    var thread = pthread_t()
    try #require(
      pthread_create(
        &thread, nil,
        { context in
          context.map { Unmanaged<ThreadBody>.fromOpaque($0).takeRetainedValue().body() }
          return nil
        }, body.toOpaque()) == 0)
    pthread_detach(thread)
  }

  private final class ThreadBody {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  var isFinished: Bool { isOver.load(ordering: .acquiring) }
  var log: [String] { logged.withLock { $0.map { String(decoding: $0.record.text, as: UTF8.self) } } }
  var records: [(group: Int?, record: LogRecord)] { logged.withLock { $0 } }
  func hasLogged(_ part: String) -> Bool { log.contains { $0.contains(part) } }

  /// The ids of the group's living workers.
  func pids(_ group: Int = 0) -> [Int32] {
    board(group).slots.map(\.pid).filter { $0 > 0 }
  }

  func ready(_ group: Int = 0) -> Int { board(group).ready }

  /// The processes that take requests, read once: between two looks one may go, or come.
  func serving(_ group: Int = 0) -> [Int32] {
    board(group).slots.filter { $0.pid > 0 && $0.state == WorkerState.ready.rawValue }.map(\.pid)
  }

  /// Whether so many processes serve, and none of `old`.
  func isServed(by count: Int, without old: [Int32], _ group: Int = 0) -> Bool {
    let now = serving(group)
    return now.count == count && Set(old).isDisjoint(with: now)
  }

  func board(_ group: Int = 0) -> GroupScoreboard { boards[group] }

  /// Puts a request into a group's queue.
  func send(_ request: String, to group: Int = 0) {
    let bytes = Array(request.utf8)
    _ = writeEnds.withLock { Glibc.send($0[group], bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
  }

  /// Has a worker write its id, and gives it.
  func servingPid(_ group: Int = 0) -> Int32? {
    let name = scratch.file("note-\(Clock.monotonicMicroseconds())")
    send("note \(name)", to: group)
    guard wait("a worker notes its id", until: { contents(name) != nil }) else { return nil }
    return contents(name).flatMap { Int32($0) }
  }

  /// As when httpd's last child of a generation has gone.
  func closeQueues() {
    writeEnds.withLock { ends in
      for end in ends { close(end) }
      ends = []
    }
  }

  /// Ends everything, and checks that nothing is left.
  func finish(at location: SourceLocation = #_sourceLocation) {
    let last = boards.indices.flatMap { pids($0) }
    ControlChannel(socket: commands[0]).send(.stop)
    guard wait("the supervisor ends", at: location, until: { isFinished }) else { return }
    for pid in last { #expect(!isAlive(pid), "process \(pid) is left", sourceLocation: location) }
    #expect(boards.indices.allSatisfy { pids($0).isEmpty }, sourceLocation: location)
    closeQueues()
    for end in readEnds + commands { close(end) }
    store.closeAll()
  }
}
