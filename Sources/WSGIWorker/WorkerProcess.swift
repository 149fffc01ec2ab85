import CPosix
import DaemonTransport
import Glibc
import Platform
import ProcessSupervision
import WSGICore

/// A daemon process that takes requests, from the start of its threads to its exit. Runs on the main thread.
final class WorkerProcess {
  private let settings: WorkerSettings
  private let engine: Engine
  private let log: ProcessLog
  private let control: ControlChannel
  /// Signals arrive here, one byte each; 0: the process is to be shut down.
  private let events: (read: Int32, write: Int32)
  private let pool: RequestPool
  private let monitor: TimeoutMonitor
  private let dispatcher: SignalDispatcher

  /// nil: no sockets for the events, no handler for the signals, or no memory for the board of owners.
  init?(
    _ settings: WorkerSettings, _ engine: Engine, log: ProcessLog, control: ControlChannel,
    activity: UnsafeMutableRawPointer?
  ) {
    var ends: [Int32] = [-1, -1]
    guard wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) == 0, fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0,
      wsgi_posix_catch_signals(ends[1]) == 0
    else { return nil }
    self.settings = settings
    self.engine = engine
    self.log = log
    self.control = control
    events = (ends[0], ends[1])
    let bell = ends[1]
    let shared = WorkerDescriptor.shared.rawValue
    let owners = RequestOwners(file: shared)
    // httpd gives up requests that no process has noted on the board. (A group without a board has /dev/null here.)
    if owners == nil, wsgi_posix_readable_size(shared) > 0 { return nil }
    close(shared)
    var sessions = WorkerDescriptor.sessions.rawValue
    // A group without session slots has /dev/null here.
    if wsgi_posix_waiting(sessions) < 0 || owners == nil {
      close(sessions)
      sessions = -1
    }
    pool = RequestPool(
      settings, engine, queue: WorkerDescriptor.queue.rawValue, sessions: sessions, owners: owners, activity: activity, log: log,
      control: control
    ) {
      var zero: UInt8 = 0
      _ = write(bell, &zero, 1)
    }
    monitor = TimeoutMonitor(pool)
    dispatcher = SignalDispatcher(engine, stackSize: settings.stackSize)
  }

  /// A script that was to be loaded beforehand does not load.
  func importFailed() { pool.importFailed() }

  /// Serves until the process is to end, and ends Python. `verdict` is a candidate's.
  func run(_ receiver: ControlReceiver, _ reports: ProcessReports, verdict: ControlMessage?) -> Int32 {
    var failure = monitor.start()
    if failure == 0, settings.candidate == nil, !pool.start() { failure = EAGAIN }
    guard failure == 0 else {
      control.tell(.startFailed("no threads: \(String(cString: strerror(failure)))"))
      return WorkerExit.threads.rawValue
    }
    reports.show(pool.inFlight)
    receiver.deliver(to: pool, awaitsBegin: settings.candidate != nil)
    if let verdict { control.tell(verdict) }
    control.tell(.ready)
    log.write(.info, "Daemon process '\(settings.groupName)' takes requests (pid=\(getpid())).")
    awaitEnd()
    return shutDown(reports)
  }

  private func awaitEnd() {
    while true {
      var byte: UInt8 = 0
      guard systemCall({ read(events.read, &byte, 1) }) == 1 else { return pool.stop(.signalPipeError) }
      switch Int32(byte) {
      case 0: if pool.lifecycle.phase == .stopping { return }
      case SIGTERM, SIGINT: pool.stop(.shutdownSignal)
      case SIGUSR1: restart()
      case SIGXCPU: leaveForCPULimit()
      default: dispatcher.dispatch(Int32(byte))
      }
      monitor.notice()
    }
  }

  private func restart() {
    let evicts = settings.evictionTimeout > 0
    log.write(
      .info,
      "Process \(evicts ? "eviction" : "restart") of \(settings.title) requested: waiting for requests to finish.")
    if evicts {
      pool.drain(.evictionSignal, allowance: settings.evictionTimeout)
    } else {
      pool.drain(.gracefulSignal)
    }
  }

  private func leaveForCPULimit() {
    log.write(
      .warning,
      "WSGI0414: Process \(getpid()) of process group '\(settings.groupName)' has used up its cpu-time-limit; ending it.")
    if settings.gracefulTimeout > 0 { pool.drain(.cpuTimeLimit) } else { pool.stop(.cpuTimeLimit) }
  }

  // MARK: shutdown

  private func shutDown(_ reports: ProcessReports) -> Int32 {
    let reason = pool.lifecycle.reason
    log.write(.info, "Shutdown requested for daemon process \(settings.title): \(reason.name).")
    Reaper.start(settings, engine, log, control, reason)
    dispatcher.end()
    engine.stopping(reason.name)
    while pool.living.value != 0 { pool.living.wait(while: pool.living.value, milliseconds: 1000) }
    monitor.leaveEngine()
    log.write(.info, "Stopping process \(settings.title).")
    control.tell(.ended(reason), within: 1_000)
    reports.end()
    engine.stop()
    log.write(.info, "Exiting process \(settings.title).")
    return 0
  }
}

/// Ends a process that does not get its shutdown done.
enum Reaper {
  static func start(
    _ settings: WorkerSettings, _ engine: Engine, _ log: ProcessLog, _ control: ControlChannel, _ reason: ShutdownReason
  ) {
    guard settings.shutdownTimeout > 0 else { return }
    let title = settings.title
    let timeout = settings.shutdownTimeout
    _ = DetachedThread.start(named: "wsgi:reaper", stackSize: settings.stackSize, takesSignals: true) {
      let deadline = Clock.monotonicMilliseconds() &+ timeout
      while Clock.monotonicMilliseconds() < deadline { poll(nil, 0, Int32(clamping: deadline &- Clock.monotonicMilliseconds())) }
      log.write(.info, "Shutdown timeout expired; aborting process \(title).")
      engine.abandon()
      control.tell(.ended(reason), within: 100)
      _exit(WorkerExit.shutdownTimeout.rawValue)
    }
  }
}
