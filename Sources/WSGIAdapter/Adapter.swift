import Glibc
import Platform
import PythonRuntime
import Synchronization
import WSGICore
import WSGIMeasurement

/// The WSGI side of one process: settings, host, Python. Composition of the rooms below for `WSGIEngine`.
public final class Adapter: @unchecked Sendable {  // immutable after `start`; tables inside have their own locks
  public let settings: EngineSettings
  public let host: ProcessHost
  public let python: Python
  /// The environment that the process was started with, before Python touched it.
  let pristine: [([UInt8], [UInt8])]
  let running = RunningRequests()
  let inspector = JobThread()
  /// Ends retired interpreters, whose exit functions may take their time.
  let ender = JobThread()
  /// Why the interpreters of an application group are not replaced any more, as the end of a sentence.
  let obstacles = Mutex<[[UInt8]: String]>([:])
  /// Application groups of which the log has said that.
  let reportedObstacles = Mutex<Set<[UInt8]>>([])
  /// Reloads that applications have asked for.
  let reloadBoard: ReloadBoard
  /// Where the host reads about this process's Python; nil: it does not.
  let notice: EngineNotice?
  /// Scripts that are being imported.
  let imports = ImportWatch()
  /// Failed imports that have been logged.
  let failures = FailureLedger()
  let pacer = ResponsePacer()
  let shortTurns = ShortTurns()
  let accounting: Accounting
  let sampler: MetricsSampler
  /// Nil where WSGISlowRequests is not set.
  let slowRequests: SlowRequests?
  /// A telemetry service receives the process's figures.
  let hasTelemetry: Bool
  /// Nil as well in a process that is to be forked, which has no threads.
  var telemetry: Telemetry?
  private let stoppingOnce = FirstTime()
  let isStopping = Atomic<Bool>(false)

  /// Initialises Python on the calling thread and sets up the main interpreter.
  public init(settings: EngineSettings, host: ProcessHost) throws(InterpreterFailure) {
    self.settings = settings
    self.host = host
    reloadBoard = ReloadBoard(host.board, size: HostBoard.size - EngineNotice.size)
    notice = host.board.map { EngineNotice(board: $0, size: HostBoard.size) }
    pristine = Adapter.environment()
    accounting = Accounting(isDaemon: settings.isDaemon, threadLimit: settings.threads)
    sampler = MetricsSampler(accounting)
    hasTelemetry = settings.telemetryTarget != nil
    slowRequests = SlowRequests(settings)
    var start = PythonStart()
    start.warnings = settings.warnings.map(\.text)
    start.optimize = Int32(clamping: settings.optimize)
    start.dontWriteBytecode = settings.dontWriteBytecode
    // A daemon process's own handlers do that themselves; httpd's do not.
    start.childrenForgetHandlers = !settings.isDaemon
    start.destroyInterpreters = settings.destroysInterpreters
    start.startsThreads = !settings.isPreloader
    switch settings.hashSeed {
    case .random: start.hashSeed = .random
    case .fixed(let seed): start.hashSeed = .fixed(seed)
    case nil: break
    }
    start.choose(python: settings.python?.text, home: settings.pythonHome?.text)
    python = try Python(start)
    notice?.announce(python: Python.fullVersion)
    connectPython()
    try python.configureMain()
    if settings.isPreloader { imports.startsThread = false } else { telemetry = startTelemetry() }
  }

  private static func environment() -> [([UInt8], [UInt8])] {
    var result: [([UInt8], [UInt8])] = []
    var entry = environ
    while let text = entry.pointee {
      let bytes = Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
      if let equals = bytes.firstIndex(of: UInt8(ascii: "=")), equals > 0 {
        result.append((Array(bytes[..<equals]), Array(bytes[(equals + 1)...])))
      }
      entry += 1
    }
    return result
  }

  /// "in embedded mode" or "of daemon process 'G' (pid=1)": the end of every sentence about an interpreter.
  public var place: String {
    settings.isDaemon ? "of daemon process '\(settings.processGroup.text)' (pid=\(getpid()))" : "in embedded mode"
  }

  // MARK: logging

  /// The owner of the log that Python code on the calling thread writes to: its request where it runs one. Attached.
  var logOwnerHere: LogOwner { (RunningRequest.current as LogOwner?) ?? host }

  func logHere(_ level: LogLevel, _ text: String) { logOwnerHere.log(level, text) }

  var logLevelHere: LogLevel { RunningRequest.current?.exchange.logLevel ?? host.logLevel }

  // MARK: life

  /// Publishes process_stopping to every interpreter, once.
  public func stopping(reason: String) {
    guard stoppingOnce.isFirst else { return }
    failures.flush()
    telemetry?.stopping(reason)
    publishStopping(reason)
  }

  /// Ends Python, on the thread that started it. A request that still runs after a while keeps Python from being ended: a
  /// thread cannot be taken out of an application.
  public func stop() {
    isStopping.store(true, ordering: .relaxed)
    var waited: UInt32 = 0
    while !running.running().isEmpty, waited < Adapter.stopPatience {
      usleep(Adapter.stopStep)
      waited &+= Adapter.stopStep
    }
    guard running.running().isEmpty else {
      host.log(.info, "Requests are still running; Python \(place) is not finalised.")
      abandon()
      return
    }
    if !settings.isDaemon { limitStop() }
    telemetry?.end()
    inspector.waitUntilIdle()
    ender.waitUntilIdle()
    python.stop()
  }

  /// A daemon has shutdown-timeout; nothing else would end an httpd child in which an application's thread or exit function never
  /// returns.
  private func limitStop() {
    _ = DetachedThread.start { [host] in
      sleep(Adapter.stopLimit)
      host.log(
        .warning,
        "WSGI0505: Python did not finalise within \(Adapter.stopLimit) s: an application's thread or atexit function "
          + "does not return. The process exits without finalising Python.")
      _exit(0)
    }
  }

  /// Seconds.
  private static let stopLimit: UInt32 = 10
  /// Microseconds.
  private static let stopPatience: UInt32 = 3_000_000
  private static let stopStep: UInt32 = 5000

  /// The process is about to end without `stop`, or with requests running. Any thread; waits for nothing.
  public func abandon() { telemetry?.abandon() }
}
