import Glibc
import PythonRuntime
import Synchronization
import WSGICore
import WSGIMeasurement

/// The WSGI side of one process: settings, host, Python. Composition of the rooms below for `WSGIEngine`.
public final class Adapter: @unchecked Sendable {  // immutable after `start`; tables inside have their own locks
  public let settings: AdapterSettings
  public let host: ProcessHost
  public let python: Python
  /// The environment that the process was started with, before Python touched it.
  private let pristine: [([UInt8], [UInt8])]
  static let version = ModuleVersion.compatible
  let running = RunningRequests()
  let inspector = Inspector()
  /// Ends retired interpreters, whose exit functions may take their time.
  private let ender = Inspector()
  /// Scripts that are being imported.
  let imports = ImportWatch()
  /// Failed imports that the log has been told of.
  let failures = FailureLedger()
  let pacer = ResponsePacer()
  let accounting: Accounting
  let sampler: MetricsSampler
  /// Nil where WSGISlowRequests is not set.
  let slowRequests: SlowRequests?
  /// A telemetry service takes the process's figures.
  let hasTelemetry: Bool
  private var telemetry: Telemetry?
  private let stoppingOnce = FirstTime()
  private let isStopping = Atomic<Bool>(false)

  /// Initialises Python on the calling thread and sets up the main interpreter.
  public init(settings: AdapterSettings, host: ProcessHost) throws(InterpreterFailure) {
    self.settings = settings
    self.host = host
    pristine = Adapter.environment()
    let threads = settings.number(EngineSettings.threads) ?? 1
    accounting = Accounting(isDaemon: settings.isDaemon, threadLimit: threads)
    sampler = MetricsSampler(accounting)
    hasTelemetry = settings[EngineSettings.telemetryTarget] != nil
    slowRequests = settings.slowRequests(threads: threads)
    var start = PythonStart()
    start.warnings = settings.warnings
    start.optimize = Int32(clamping: settings.number(EngineSettings.optimize) ?? 0)
    start.dontWriteBytecode = settings.flag(EngineSettings.dontWriteBytecode)
    // A daemon process's own handlers see to that themselves; httpd's do not.
    start.childrenForgetHandlers = !settings.isDaemon
    start.destroyInterpreters = settings.flag(EngineSettings.destroyInterpreter, default: true)
    switch settings[EngineSettings.hashSeed] {
    case "random": start.hashSeed = .random
    case let seed?: start.hashSeed = UInt32(seed).map { .fixed($0) }
    case nil: break
    }
    start.choose(python: settings[EngineSettings.python], home: settings[EngineSettings.pythonHome])
    python = try Python(start)
    failures.begin { [unowned self] in reportRepeats($0, $1) }
    python.wantsOwnGIL = { [unowned self] name in self.wantsOwnGIL(name) }
    python.configure = { [unowned self] interpreter throws(InterpreterFailure) in try self.configure(interpreter) }
    python.discard = { interpreter in (interpreter.contents as? InterpreterContents)?.drop() }
    python.endLater = { [unowned self] interpreter in
      _ = self.ender.run(milliseconds: 0) { self.endRetired(interpreter) }
    }
    python.openNameLimit = settings.number(EngineSettings.maximumInterpreters) ?? Adapter.openNameLimit
    try python.configureMain()
    telemetry = startTelemetry()
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

  // MARK: interpreters

  private func wantsOwnGIL(_ name: [UInt8]) -> Bool {
    let group = String(decoding: name, as: UTF8.self)
    guard settings.scoped(EngineSettings.perInterpreterGIL, group).value == "1" else { return false }
    guard Python.versionHex >= 0x030C_0000 else {
      host.log(.warning, "WSGI0198: WSGIPerInterpreterGIL needs Python 3.12 or newer; this is \(Python.version).")
      return false
    }
    guard !Python.isBuiltWithoutGIL else {
      host.log(.warning, "WSGI0202: WSGIPerInterpreterGIL has no effect: this Python runs without a GIL.")
      return false
    }
    return true
  }

  private func configure(_ interpreter: Interpreter) throws(InterpreterFailure) {
    if !interpreter.isMain {
      let own = interpreter.hasOwnGIL ? " with its own GIL" : ""
      host.log(.info, "Creating \(interpreter.label)\(own) \(place).")
    }
    do throws(Raised) {
      let contents = try InterpreterContents(self, interpreter)
      interpreter.contents = contents
      try contents.configure(pristine)
      setSwitchInterval(interpreter)
    } catch {
      let explanation = InterpreterContents.takeDescription()
      host.log(.critical, "WSGI0035: Cannot set up the \(interpreter.label) \(place): \(explanation)")
      throw .notConfigured
    }
  }

  /// On the ender's thread.
  private func endRetired(_ interpreter: Interpreter) {
    let attachments = python.endRetired(interpreter) { (interpreter.contents as? InterpreterContents)?.publishStopping("") }
    guard !attachments.isEmpty else { return }
    running.remove { $0.attachment.interpreter === interpreter }
    // A pool's runners keep their attachment.
    for attachment in attachments { attachment.contents = nil }
  }

  /// "in embedded mode" or "of daemon process 'G' (pid=1)": the end of every sentence about an interpreter.
  var place: String {
    settings.isDaemon ? "of daemon process '\(settings.processGroup)' (pid=\(getpid()))" : "in embedded mode"
  }

  private func setSwitchInterval(_ interpreter: Interpreter) {
    let group = String(decoding: interpreter.name, as: UTF8.self)
    let (value, block) = settings.scoped(EngineSettings.switchInterval, group)
    guard let value else { return }
    if Python.isBuiltWithoutGIL {
      host.log(.warning, "WSGI0205: The switch interval has no effect: this Python runs without a GIL.")
      return
    }
    if block?.applicationGroup != nil, !interpreter.isMain, !interpreter.hasOwnGIL {
      host.log(
        .warning,
        "WSGI0199: WSGISwitchInterval for application group '\(group)' is ignored: it shares its GIL with other groups.")
      return
    }
    do throws(Raised) {
      guard let number = try PythonCode.builtins.item("float") else { return }
      _ = try PythonCode.sys("setswitchinterval")?.call(try number.call(try PyRef.string(value)))
      host.log(.info, "Switch interval of the \(interpreter.label) \(place) is \(value) s.")
    } catch { PythonException.clear() }
  }

  /// How many interpreters may have names that come from requests, where WSGIMaxInterpreters does not say.
  private static let openNameLimit = 128

  // MARK: logging

  /// A log record from Python code on the calling thread: to its request's log where it runs one. Attached.
  func logHere(_ level: LogLevel, _ text: UnsafeRawBufferPointer, request: RequestRunner?, file: String?, line: Int) {
    if let runner = request ?? RequestRunner.current {
      runner.log(level, text, file: file, line: line)
    } else {
      host.log(level, text, file: file, line: line)
    }
  }

  func logHere(_ level: LogLevel, _ text: String) {
    var text = text
    text.withUTF8 { logHere(level, UnsafeRawBufferPointer($0), request: nil, file: nil, line: 0) }
  }

  var logLevelHere: Int32 { RequestRunner.current?.exchangeLogLevel ?? host.logLevel }

  // MARK: requests

  /// Runs a request. Not attached; waits as long as the application does.
  public func run(_ request: RequestHead, _ exchange: RequestExchange, ticket: UInt64, flags: RunFlags) -> RequestOutcome {
    var refusal: InterpreterFailure?
    for _ in 0..<Adapter.attempts {
      let outcome = withRunner(request, exchange, &refusal) { $0.run(request, exchange, ticket: ticket, flags: flags) }
      guard let outcome else { break }
      if !outcome.isForAnotherInterpreter { return outcome }
    }
    var outcome = RequestOutcome()
    outcome.end = .failed
    outcome.status = 500
    if case .tooMany = refusal { outcome.status = 503 }
    return outcome
  }

  /// How many interpreters a request may come to, one after the other, because they have been retired.
  static let attempts = 3

  /// Lends a runner of the calling thread, in the request's interpreter; nil after logging why there is none.
  @inline(__always)
  func withRunner<R>(
    _ request: RequestHead, _ exchange: RequestExchange, _ refusal: inout InterpreterFailure?, _ body: (RequestRunner) -> R
  ) -> R? {
    let attachment: Attachment
    do throws(InterpreterFailure) {
      if isStopping.load(ordering: .relaxed) { throw .stopping }
      attachment = try python.attachment(request.applicationGroup, isOpenName: request.flags.contains(.openName))
    } catch {
      refuse(request, exchange, error)
      refusal = error
      return nil
    }
    defer { python.release(attachment) }
    let pool: RunnerPool
    if let known = attachment.contents {
      pool = unsafeDowncast(known, to: RunnerPool.self)
    } else {
      pool = RunnerPool(attachment)
      attachment.contents = pool
    }
    guard let runner = pool.take(self) else {
      refuse(request, exchange, .notConfigured)
      return nil
    }
    defer { pool.giveBack(runner) }
    return body(runner)
  }

  private func refuse(_ request: RequestHead, _ exchange: RequestExchange, _ failure: InterpreterFailure) {
    let group = String(decoding: request.applicationGroup, as: UTF8.self)
    if case .tooMany(let limit) = failure {
      exchange.log(
        .error,
        "WSGI0621: No interpreter for application group '\(group)': this process has \(limit) whose names came from "
          + "requests, as many as WSGIMaxInterpreters allows. Fix the names in the configuration, or raise it.")
      return
    }
    let reason =
      switch failure {
      case .notCreated(let sentence): sentence
      case .notConfigured: "it could not be set up (see above)"
      case .stopping, .tooMany: "the process is ending"
      }
    exchange.log(.error, "WSGI0087: No interpreter for application group '\(group)': \(reason).")
  }

  /// Imports a script into an application group. Not attached. False after logging why. `failure` names how the import failed; a
  /// failure that it names beforehand has been logged.
  public func load(
    _ applicationGroup: UnsafeRawBufferPointer, _ script: UnsafeRawBufferPointer, failure: inout UInt32
  ) -> Bool {
    if failure != 0 { failures.expect(.init(path: Array(script), applicationGroup: Array(applicationGroup)), failure) }
    failure = 0
    let attachment: Attachment
    do throws(InterpreterFailure) { attachment = try python.attachment(applicationGroup) } catch {
      host.log(.error, "WSGI0087: No interpreter to load '\(String(decoding: script, as: UTF8.self))' into: \(error).")
      return false
    }
    defer { python.release(attachment) }
    var found: UInt32 = 0
    let isLoaded = attachment.run {
      guard let contents = attachment.interpreter.contents as? InterpreterContents else { return false }
      let request = ScriptLoader.Request(
        path: script, modified: ScriptTime.now(script), isReloading: false, rejectsStale: false, mayRetire: false,
        resource: { nil })
      do throws(ScriptFailure) {
        _ = try ScriptLoader(contents: contents, attachment: attachment).script(request)
        contents.flushStandardStreams()
        return true
      } catch {
        if case .notLoaded(let number) = error { found = number }
        return false
      }
    }
    failure = found
    return isLoaded
  }

  // MARK: life

  /// Publishes process_stopping to every interpreter, once.
  public func stopping(reason: String) {
    guard stoppingOnce.isFirst else { return }
    failures.flush()
    telemetry?.stopping(reason)
    python.inEachInterpreter { interpreter in
      (interpreter.contents as? InterpreterContents)?.publishStopping(reason)
    }
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
      host.log(.info, "Requests are still running; the Python \(place) is left as it is.")
      abandon()
      return
    }
    if !settings.isDaemon { limitStop() }
    telemetry?.end()
    inspector.waitUntilIdle()
    ender.waitUntilIdle()
    python.stop()
  }

  /// A daemon has shutdown-timeout; an httpd child has nobody who would end it when an application's thread or exit function
  /// never returns.
  private func limitStop() {
    _ = BackgroundThread.start { [host] in
      sleep(Adapter.stopLimit)
      host.log(
        .warning,
        "WSGI0505: Python did not end within \(Adapter.stopLimit) s: an application's thread or atexit function "
          + "does not return. The process ends without it.")
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

  /// Publishes process_signal to every interpreter.
  public func signal(_ name: String, _ number: Int) {
    python.inEachInterpreter { interpreter in
      (interpreter.contents as? InterpreterContents)?.publishSignal(name, number)
    }
  }
}
