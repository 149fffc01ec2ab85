import CEngine
import CPosix
import DaemonTransport
import Glibc
import Platform
import ProcessSupervision
import RequestCounting
import Synchronization
import Testing
import WSGICore

@testable import WSGIWorker

/// An engine without Python: what it does with a request is said by the name of the request's callable object.
enum FakeEngine {
  /// Requests with the callable `wait` end only when this is above the number of those that ended.
  static let gate = Gate()

  nonisolated(unsafe) static let table: UnsafePointer<wsgi_engine> = {
    let table = UnsafeMutablePointer<wsgi_engine>.allocate(capacity: 1)
    var engine = wsgi_engine()
    engine.abi = UInt32(WSGI_ENGINE_ABI)
    engine.run = { exchange, functions, head, length, _, _, outcome in
      guard let functions, let outcome else { return }
      outcome.pointee = wsgi_outcome()
      let raw = UnsafeRawBufferPointer(start: head, count: length)
      guard let request = try? RequestHead(decoding: raw) else { return outcome.pointee.end = Int32(WSGI_FAILED) }
      let name = String(decoding: request.callable, as: UTF8.self)
      FakeEngine.run(name, request, exchange, functions.pointee, &outcome.pointee)
    }
    engine.stacks = { _, _, _, _ in 0 }
    engine.interrupt = { _ in 0 }
    engine.probe = {}
    table.initialize(to: engine)
    return UnsafePointer(table)
  }()

  private static func run(
    _ name: String, _ request: RequestHead, _ exchange: UnsafeMutableRawPointer?, _ functions: wsgi_exchange,
    _ outcome: inout wsgi_outcome
  ) {
    outcome.end = Int32(WSGI_DONE)
    outcome.script_loaded = 1
    switch name {
    case "fail":
      outcome.end = Int32(WSGI_FAILED)
      outcome.status = 503
      return
    case "stale" where request.flags.contains(.scriptReloading):
      outcome.end = Int32(WSGI_STALE)
      outcome.script_modified = request.scriptModified
      return
    case "wait":
      // It has the GIL by now, and waits for something else.
      functions.started?(exchange, 1)
      gate.pass()
    case "log":
      Array("said".utf8).withUnsafeBufferPointer { text in
        var record = wsgi_log_record(level: 3, line: 0, file: nil, text: text.baseAddress, length: text.count)
        functions.log?(exchange, &record)
      }
    default: break
    }
    functions.started?(exchange, 0)
    let head = Array("head".utf8)
    let body = Array(name.utf8)
    if name == "abort" {
      _ = functions.send?(exchange, head, head.count, body, body.count, 0)
      outcome.end = Int32(WSGI_ABORTED)
    } else {
      _ = functions.send?(exchange, head, head.count, body, body.count, UInt32(WSGI_SEND_END))
    }
  }

  /// Counts those who wait, and lets through as many as it is told.
  final class Gate: Sendable {
    private let waiting = Atomic<Int>(0)
    private let open = Atomic<Int>(0)

    func pass() {
      let mine = waiting.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
      while open.load(ordering: .sequentiallyConsistent) < mine { usleep(1000) }
    }

    /// Waits until so many more have come since `earlier`; false after a minute.
    func await(_ count: Int) -> Bool {
      for _ in 0..<10_000 {
        if waiting.load(ordering: .sequentiallyConsistent) - open.load(ordering: .sequentiallyConsistent) >= count { return true }
        usleep(1000)
      }
      return false
    }

    func letAllPass() {
      open.store(waiting.load(ordering: .sequentiallyConsistent), ordering: .sequentiallyConsistent)
    }
  }
}

/// A worker's threads over the fake engine, with a supervisor's ends in the test's hands.
final class TestWorker: @unchecked Sendable {
  let pool: RequestPool
  /// The supervisor's end of the line.
  let supervisor: ControlChannel
  let stopped = Wakeup()
  private var ends: [Int32] = [-1, -1]

  init(_ queue: borrowing RequestQueue, starts: Bool = true, _ change: (inout WorkerSettings) -> Void = { _ in }) throws {
    var settings = WorkerSettings()
    settings.processGroup = Array("group".utf8)
    settings.threads = 4
    settings.socketTimeout = 60_000
    settings.logLevel = LogLevel(clamping: 8)
    change(&settings)
    #expect(wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends) == 0)
    supervisor = ControlChannel(socket: ends[0])
    let control = ControlChannel(socket: ends[1])
    let stopped = stopped
    // Threads inherit what is blocked where tests run; a worker starts with nothing blocked.
    var nothing = sigset_t()
    sigemptyset(&nothing)
    pthread_sigmask(SIG_SETMASK, &nothing, nil)
    pool = RequestPool(
      settings, Engine(table: FakeEngine.table), queue: dup(queue.readEnd.number),
      log: ProcessLog(level: settings.logLevel, control: control), control: control
    ) { stopped.set(1) }
    if starts { try #require(pool.start()) }
  }

  /// What the worker has told its supervisor, log records aside, until `last` comes.
  func heard(until last: ControlMessage) -> [ControlMessage] {
    var all: [ControlMessage] = []
    while supervisor.wait(milliseconds: 60_000) {
      guard case .message(let message, _) = supervisor.receive() else { break }
      if case .log = message { continue }
      all.append(message)
      if message == last { break }
    }
    return all
  }

  /// Waits until all threads have ended; false after a minute.
  func hasEnded() -> Bool {
    for _ in 0..<600 {
      let left = pool.living.value
      if left == 0 { return true }
      // The thread that waits on the queue may have missed the first call.
      pool.election.interrupt()
      pool.living.wait(while: left, milliseconds: 100)
    }
    return false
  }
}

/// Clients of a queue: requests that run on threads of their own.
final class TestClients: @unchecked Sendable {
  struct Answer: Equatable {
    var outcome: DaemonOutcome
    var body = ""
    var attempts: UInt32 = 1
    var logs: [String] = []
  }

  private final class Origin: RequestOrigin {
    var answer = Answer(outcome: .done)
    func receiveBody() -> Int64 { 0 }
    func isClientBehind() -> Bool { false }
    var clientTimeoutMilliseconds: Int64 { 0 }
    func clientTimedOut() {}
    func makeSpoolFile() -> Int32 { -ENOSPC }
    func spoolFailed(_ failure: SpoolFailure) {}
    func readBody(into buffer: UnsafeMutableRawBufferPointer) -> BodyRead { .end }
    var bodyDescriptor: Int32 { -1 }
    var bodyTimeoutMilliseconds: Int64 { 1000 }
    func begin(_ head: UnsafeRawBufferPointer) -> Bool { true }
    func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
      answer.body += String(decoding: bytes, as: UTF8.self)
      return true
    }
    func end(_ bytes: UnsafeRawBufferPointer) -> Bool { write(bytes) }
    func flush() -> Bool { true }
    func sendFile(_ file: consuming Descriptor, offset: Int64, length: Int64) -> Bool { true }
    func log(level: LogLevel, file: UnsafeRawBufferPointer, line: UInt32, text: UnsafeRawBufferPointer) {
      if level <= .warning { answer.logs.append(String(decoding: text, as: UTF8.self)) }
    }
    func isServed() -> Bool { true }
    func requeued(attempt: UInt32) { answer.attempts = attempt }
  }

  private let queue: Int32
  private let answers = Mutex<[Answer]>([])
  private let running = Wakeup()

  init(_ queue: borrowing RequestQueue) { self.queue = queue.writeEnd.number }

  static func head(_ callable: String, requestStart: Int64 = 0, modified: Int64 = 0) -> [UInt8] {
    var writer = RequestHeadWriter()
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    Array("/srv/app.wsgi".utf8).withUnsafeBytes { script in
      Array(callable.utf8).withUnsafeBytes { name in
        writer.begin(
          flags: .scriptReloading, contentLength: -1, scriptModified: modified, requestStart: requestStart, queueStart: 0,
          processGroup: none, applicationGroup: none, script: script, callable: name)
      }
    }
    return Array(writer.finish(pairs: 0))
  }

  /// Runs a request and gives its answer.
  func run(_ callable: String, requestStart: Int64 = 0, modified: Int64 = 0) -> Answer {
    var origin = Origin()
    guard let book = RequestBook(rows: 1, children: 1), let row = book.row(0) else {
      return Answer(outcome: .failed(.system(errno: ENOMEM)))
    }
    defer { book.unmap() }
    var forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
    var endpoint = GroupQueue(row: row, writeEnd: queue)
    endpoint.socketTimeout = 20_000
    endpoint.attempts = 50
    origin.answer.outcome = TestClients.head(callable, requestStart: requestStart, modified: modified).withUnsafeBytes {
      forwarder.run($0, on: endpoint, logLevel: LogLevel(clamping: 8), origin: &origin)
    }
    return origin.answer
  }

  /// Runs requests at the same time; `finish` gives their answers.
  func start(_ callable: String, count: Int = 1) {
    for _ in 0..<count {
      running.add(1)
      let failure = DetachedThread.start(named: "client", takesSignals: true) { [self] in
        let answer = run(callable)
        answers.withLock { $0.append(answer) }
        running.add(.max)
      }
      #expect(failure == 0)
    }
  }

  func finish() -> [Answer] {
    for _ in 0..<200 {
      let left = running.value
      if left == 0 { break }
      running.wait(while: left, milliseconds: 100)
    }
    return answers.withLock { $0 }
  }
}
