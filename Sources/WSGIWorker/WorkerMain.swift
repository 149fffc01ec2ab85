import CEngine
import CPosix
import Glibc
import Platform
import ProcessSupervision
import WSGICore

/// A daemon process of a process group, from exec to exit: what it is told, root given up, Python, then requests or services.
enum WorkerMain {
  /// Why the process cannot do its work.
  private struct Failure: Error {
    let exit: WorkerExit
    let sentence: String

    init(_ exit: WorkerExit, _ sentence: String) {
      self.exit = exit
      self.sentence = sentence
    }

    init(_ failure: EngineFailure) {
      exit =
        switch failure {
        case .missing: .engineMissing
        case .unusable: .engineUnusable
        case .notStarted: .python
        }
      sentence = failure.description
    }
  }

  /// Values given to the engine for the life of the process.
  private final class Host {
    let log: ProcessLog
    let metrics: ScoreboardQuery
    let control: ControlChannel

    init(_ log: ProcessLog, _ metrics: ScoreboardQuery, _ control: ControlChannel) {
      self.log = log
      self.metrics = metrics
      self.control = control
    }
  }

  /// The result is the process's exit code.
  static func run() -> Int32 {
    let control = ControlChannel.ofWorker
    do throws(Failure) {
      return try run(control)
    } catch {
      control.tell(.startFailed(error.sentence))
      return error.exit.rawValue
    }
  }

  private static func run(_ control: ControlChannel) throws(Failure) -> Int32 {
    guard let (started, bytes) = WorkerSettings.read() else {
      throw Failure(.settings, "its settings cannot be read")
    }
    var settings = started
    wsgi_posix_limit_arenas()
    guard settings.version == ControlMessage.version else {
      throw Failure(.version, "version \(settings.version) was asked for, this is \(ControlMessage.version)")
    }
    if settings.isPreloader { wsgi_posix_set_name(Preloader.processName) }
    let log = ProcessLog(level: settings.logLevel)
    let board = WorkerScoreboard.mapReloads()
    var activity = settings.isPreloader ? nil : WorkerScoreboard.mapOwn(settings)
    // Behind chroot the image is not to be found any more.
    var early: Result<Engine, Failure>?
    let warnings = Privileges.drop(settings) { early = loadEngine(started, root: ".") }
    for warning in warnings { log.write(.warning, warning) }
    if settings.isProbe {
      FileProbe.serve()
      return 0
    }
    var reports = settings.isPreloader ? nil : try catchSignals(settings, log)
    setLocale(settings, log)
    let metrics = ScoreboardQuery(control, isOffered: settings.serverMetrics)
    let receiver = ControlReceiver(control, metrics: metrics)
    if !settings.isPreloader { try start(receiver, settings) }
    let engine = try (early ?? loadEngine(settings)).get()
    if settings.isPreloader { Preloader.prepareProcess() }
    try startPython(engine, bytes, Host(log, metrics, control), board)
    if settings.isPreloader {
      switch Preloader(settings, engine, log, control).run() {
      case .ended(let code): return code
      case .forked(let own): settings = own
      }
      // This is another process from here on, a worker.
      activity = WorkerScoreboard.mapOwn(settings)
      reports = try catchSignals(settings, log)
      try start(receiver, settings)
    }
    guard let reports else { throw Failure(.threads, "signals") }
    receiver.show(reports)
    let noThread = reports.start(engine, stackSize: settings.stackSize)
    if noThread != 0 { throw Failure(.threads, String(cString: strerror(noThread))) }
    return settings.isService
      ? runServices(settings, engine, log, control, receiver, reports)
      : try serve(settings, engine, log, control, receiver, reports, activity)
  }

  private static func catchSignals(_ settings: WorkerSettings, _ log: ProcessLog) throws(Failure) -> ProcessReports {
    guard let reports = ProcessReports(settings, log: log) else {
      throw Failure(.threads, "signals: \(String(cString: strerror(errno)))")
    }
    return reports
  }

  private static func start(_ receiver: ControlReceiver, _ settings: WorkerSettings) throws(Failure) {
    let failure = receiver.start(stackSize: settings.stackSize)
    if failure != 0 { throw Failure(.threads, String(cString: strerror(failure))) }
  }

  /// root: what to put before the names of Python, where it is not the process's root directory yet.
  private static func loadEngine(_ settings: WorkerSettings, root: String = "") -> Result<Engine, Failure> {
    do throws(EngineFailure) {
      return .success(
        try settings.engines.load(python: settings.python?.text, home: settings.pythonHome?.text, root: root))
    } catch {
      return .failure(Failure(error))
    }
  }

  /// The environment has LANG and LC_ALL already; C code, and Python, go by what setlocale says.
  private static func setLocale(_ settings: WorkerSettings, _ log: ProcessLog) {
    guard let name = settings.locale else { return }
    if setlocale(LC_ALL, name.map { CChar(bitPattern: $0) } + [0]) == nil {
      log.write(
        .warning,
        "WSGI0079: The locale '\(String(decoding: name, as: UTF8.self))' of process group '\(settings.groupName)' does not exist"
          + " on this system.")
    }
  }

  private static func startPython(
    _ engine: Engine, _ bytes: [UInt8], _ values: Host, _ board: UnsafeMutableRawPointer?
  ) throws(Failure) {
    let host = UnsafeMutablePointer<wsgi_host>.allocate(capacity: 1)
    host.initialize(
      to: wsgi_host(
        context: Unmanaged.passRetained(values).toOpaque(),
        log: { context, record in
          if let record { WorkerMain.host(context)?.log.write(record.pointee) }
        },
        log_level: { WorkerMain.host($0)?.log.level.rawValue ?? 0 },
        server_metrics: { context, buffer, capacity in
          let pairs = WorkerMain.host(context)?.metrics.ask() ?? []
          if let buffer, pairs.count <= capacity {
            UnsafeMutableRawBufferPointer(start: buffer, count: capacity).copyBytes(from: pairs)
          }
          return pairs.count
        },
        replace: { context, script, scriptLength, group, groupLength in
          let change = ScriptChange(
            script: Array(UnsafeBufferPointer(start: script, count: scriptLength)),
            applicationGroup: Array(UnsafeBufferPointer(start: group, count: groupLength)),
            modified: Clock.epochMicroseconds())
          WorkerMain.host(context)?.control.tell(.reloadWanted(change), within: 1_000)
        }, board: board))
    do throws(EngineFailure) {
      try engine.start(host, settings: bytes)
    } catch {
      throw Failure(error)
    }
  }

  private static func host(_ context: UnsafeMutableRawPointer?) -> Host? {
    context.map { Unmanaged<Host>.fromOpaque($0).takeUnretainedValue() }
  }

  // MARK: requests

  private static func serve(
    _ settings: WorkerSettings, _ engine: Engine, _ log: ProcessLog, _ control: ControlChannel, _ receiver: ControlReceiver,
    _ reports: ProcessReports, _ activity: UnsafeMutableRawPointer?
  ) throws(Failure) -> Int32 {
    // A script that does not load is the engine's to log; the request that needs it tries again.
    let limit = PreloadLimit(settings, engine, log, control)
    var failure: UInt32 = 0
    var hasFailed = false
    for script in settings.imports where !limit.load(script, failure: &failure) { hasFailed = true }
    let verdict: ControlMessage? = settings.candidate.map {
      limit.load($0, failure: &failure) ? .loaded : .loadFailed(failure)
    }
    limit.end()
    guard let process = WorkerProcess(settings, engine, log: log, control: control, activity: activity) else {
      throw Failure(.threads, "signals: \(String(cString: strerror(errno)))")
    }
    if hasFailed { process.importFailed() }
    return process.run(receiver, reports, verdict: verdict)
  }

  // MARK: service scripts

  /// Runs the scripts one after the other on this thread, where Python handles the signals.
  private static func runServices(
    _ settings: WorkerSettings, _ engine: Engine, _ log: ProcessLog, _ control: ControlChannel, _ receiver: ControlReceiver,
    _ reports: ProcessReports
  ) -> Int32 {
    receiver.deliverToService()
    close(WorkerDescriptor.sessions.rawValue)
    control.tell(.ready)
    for script in settings.imports where !receiver.isServiceEnding {
      var failure = script.failure
      _ = engine.load(script.script, into: script.applicationGroup, failure: &failure)
    }
    let reason = ShutdownReason.shutdownSignal
    Reaper.start(settings, engine, log, control, reason)
    engine.stopping(reason.name)
    control.tell(.ended(reason), within: 1_000)
    reports.end()
    engine.stop()
    return 0
  }
}
