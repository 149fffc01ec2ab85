import CEngine
import CHTTPD
import Glibc
import Platform
import ProcessSupervision
import RequestCounting
import Synchronization
import WSGIConfig
import WSGICore

/// Python in an httpd child, for what runs in embedded mode.
///
/// Where the configuration says that something will, it is started on the child's main thread before the child serves
/// requests. Otherwise the first request that turns out to need it starts it, on a thread of its own, since Python wants to
/// be ended on the thread that began it. It is never started in the parent.
final class EmbeddedPython: Sendable {
  private enum State {
    case idle
    case running(Engine, thread: JobThread?)
    case failed(EngineFailure)
    case ended
  }

  private let generation: Generation
  private let process = getpid()
  private let host: HostTable
  private let state = Mutex(State.idle)
  /// The running engine's table; 0 while there is none. It spares requests the lock.
  private let running = Atomic<UInt>(0)
  private let inFlight = Atomic<Int>(0)

  init(_ generation: Generation) {
    self.generation = generation
    host = HostTable(server: generation.mainServer, board: generation.reloadBoard?.start)
  }

  // MARK: requests

  /// Calls `body` with the engine, which is started where it has not been; nil where there is none.
  func withEngine<R>(_ body: (Engine) -> R) -> R? {
    inFlight.add(1, ordering: .sequentiallyConsistent)
    defer { inFlight.subtract(1, ordering: .acquiringAndReleasing) }
    guard let engine = Engine(bits: running.load(ordering: .sequentiallyConsistent)) ?? startForRequest() else { return nil }
    return ThreadState.inEngine { body(engine) }
  }

  @inline(never)
  private func startForRequest() -> Engine? {
    guard getpid() == process else { return nil }
    return state.withLock { state in
      switch state {
      case .running(let engine, _): return engine
      case .failed, .ended: return nil
      case .idle:
        let thread = JobThread()
        start(on: thread, &state)
        return Engine(bits: running.load(ordering: .sequentiallyConsistent))
      }
    }
  }

  /// Why there is no engine, as the end of a sentence.
  var reason: String {
    state.withLock { state in
      if case .failed(let failure) = state { failure.description } else { "it is being stopped" }
    }
  }

  /// It could not be started in this process.
  var hasFailed: Bool {
    state.withLock { state in
      if case .failed = state { true } else { false }
    }
  }

  // MARK: life

  /// Starts Python on the calling thread, the child's first, and loads what is to be loaded beforehand.
  func start() { state.withLock { start(on: nil, &$0) } }

  private func start(on thread: JobThread?, _ state: inout State) {
    do throws(EngineFailure) {
      let home = generation.configuration.global.engine.pythonHome
      let engine = try EngineDirectory.installed.load(python: nil, home: home?.text)
      try start(engine, on: thread)
      state = .running(engine, thread: thread)
      for script in generation.configuration.global.imports where script.processGroup.isEmpty {
        var failure: UInt32 = 0
        _ = engine.load(script.path, into: script.applicationGroup, failure: &failure)
      }
      running.store(engine.bits, ordering: .sequentiallyConsistent)
    } catch {
      state = .failed(error)
      log(.critical, generation.mainServer, "WSGI0001: Python cannot be used in this httpd process: \(error).")
    }
  }

  private func start(_ engine: Engine, on thread: JobThread?) throws(EngineFailure) {
    let settings = generation.embeddedSettings
    guard let thread else { return try engine.start(host.pointer, settings: settings) }
    nonisolated(unsafe) var failure: EngineFailure?
    let host = host
    let isRun = thread.run {
      do throws(EngineFailure) { try engine.start(host.pointer, settings: settings) } catch { failure = error }
    }
    guard isRun else { throw .notStarted("no thread could be created for Python") }
    if let failure { throw failure }
  }

  /// How long the end of a child waits for requests that httpd did not wait for.
  private static let patience = 1_000_000

  /// Ends Python, on the thread that ends the child. Where requests are still running (httpd was told to stop at once) its
  /// interpreters are left as they are: the process ends anyway.
  func end() {
    // A child of prefork that is told to end does so in a signal handler, which may have interrupted Python itself.
    guard getpid() == process, !ThreadState.isInEngine else { return }
    running.store(0, ordering: .sequentiallyConsistent)
    let ended = state.withLock { state in
      let before = state
      state = .ended
      return before
    }
    guard case .running(let engine, let thread) = ended else { return }
    engine.stopping("")
    var waited = 0
    while inFlight.load(ordering: .sequentiallyConsistent) > 0, waited < EmbeddedPython.patience {
      usleep(10_000)
      waited += 10_000
    }
    guard inFlight.load(ordering: .sequentiallyConsistent) == 0 else {
      log(.info, generation.mainServer, "Requests are still running at the end of this process; Python is not finalised.")
      engine.abandon()
      return
    }
    if let thread {
      _ = thread.run { engine.stop() }
    } else {
      engine.stop()
    }
  }
}

extension Engine {
  /// The engine as a number that can be kept in an atomic; 0 is none.
  fileprivate var bits: UInt { UInt(bitPattern: table) }

  fileprivate init?(bits: UInt) {
    guard let table = UnsafePointer<wsgi_engine>(bitPattern: bits) else { return nil }
    self.init(table: table)
  }
}

/// Functions that an httpd child offers the engine outside any request. They live as long as the process, as the engine keeps it.
struct HostTable: @unchecked Sendable {  // the table is constant
  let pointer: UnsafePointer<wsgi_host>

  /// The log limit of all applications in this httpd child.
  static let logShare = LogShare.ofProcess()

  /// - board: memory of all httpd children.
  init(server: OpaquePointer, board: UnsafeMutableRawPointer?) {
    let table = UnsafeMutablePointer<wsgi_host>.allocate(capacity: 1)
    table.initialize(
      to: wsgi_host(
        context: UnsafeMutableRawPointer(server),
        log: { context, record in
          guard let record else { return }
          let text = UnsafeRawBufferPointer(start: record.pointee.text, count: record.pointee.length)
          guard HostTable.logShare.take(bytes: text.count, now: Int64(clamping: Clock.monotonicNanoseconds())) else { return }
          logServer(
            LogLevel(clamping: record.pointee.level), OpaquePointer(context), text, file: record.pointee.file,
            line: record.pointee.line)
        },
        log_level: { context in
          OpaquePointer(context).map { wsgi_httpd_server_log_level($0) } ?? LogLevel.error.rawValue
        },
        server_metrics: { _, buffer, capacity in
          let pairs = Scoreboard.pairs() ?? []
          if let buffer, pairs.count <= capacity {
            UnsafeMutableRawBufferPointer(start: buffer, count: capacity).copyBytes(from: pairs)
          }
          return pairs.count
        }, replace: nil, board: board))
    pointer = UnsafePointer(table)
  }
}
