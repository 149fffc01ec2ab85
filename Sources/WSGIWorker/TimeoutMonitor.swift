import Platform
import ProcessSupervision
import Synchronization
import WSGICore

/// Enforces the timeouts, on a thread of its own. It waits for Python with a limit, so that a process whose GIL is never released
/// ends as well.
final class TimeoutMonitor: Sendable {
  private let pool: RequestPool
  private let timeouts: Mutex<Timeouts>
  private let lastFreeGIL = Atomic<Int64>(0)
  private let bell = Wakeup()
  private let probing = Wakeup()
  /// The threads that call the engine have left it for good.
  private let isEnding = Atomic<Bool>(false)

  /// How long a stack may take to read.
  private static let stackPatience: UInt32 = 300

  init(_ pool: RequestPool) {
    self.pool = pool
    timeouts = Mutex(Timeouts(pool.settings.limits, now: Clock.monotonicMilliseconds()))
  }

  /// Starts the threads; an errno value, or 0.
  func start() -> Int32 {
    let stackSize = pool.settings.stackSize
    let failure = DetachedThread.start(named: "wsgi:monitor", stackSize: stackSize, takesSignals: true) { [self] in run() }
    guard failure == 0, pool.settings.deadlockTimeout > 0 else { return failure }
    lastFreeGIL.store(Clock.monotonicMilliseconds(), ordering: .relaxed)
    probing.set(1)
    return DetachedThread.start(named: "wsgi:probe", stackSize: stackSize, takesSignals: true) { [self] in probe() }
  }

  /// Something begins that has a limit.
  func notice() { bell.add(1) }

  /// Waits until no thread of the monitor is in the engine, or will be.
  func leaveEngine() {
    isEnding.store(true, ordering: .sequentiallyConsistent)
    bell.add(1)
    while probing.value != 0 {
      probing.set(2)
      probing.wait(while: 2, milliseconds: 50)
    }
    timeouts.withLock { _ in }
  }

  // MARK: threads

  private func run() {
    while true {
      let heard = bell.value
      let now = Clock.monotonicMilliseconds()
      let facts = pool.facts(lastFreeGIL: lastFreeGIL.load(ordering: .relaxed))
      var pause: Int64 = 0
      timeouts.withLock { timeouts in
        if isEnding.load(ordering: .sequentiallyConsistent) { return }
        let requests = pool.inFlight.requests
        pause = timeouts.pause(requests, facts, now: now)
        guard pool.lifecycle.isRunning, let verdict = timeouts.look(requests, facts, now: now) else { return }
        act(on: verdict, now)
        // There may be more to say than one thing.
        pause = 10
      }
      if !pool.lifecycle.isRunning { pause = attendEnd(now) }
      bell.wait(while: heard, milliseconds: pause)
    }
  }

  /// While the process ends: a thread may still have to be woken from its wait, and a deadline to be kept.
  private func attendEnd(_ now: Int64) -> Int64 {
    if pool.lifecycle.isOverdue(now: now) {
      pool.log.write(
        .info,
        "Process \(pool.settings.title) restart timer expired with requests in progress; forcing shutdown.")
      pool.stop(pool.lifecycle.reason)
    }
    pool.stopIfDrained()
    return pool.election.interrupt() ? 5 : 100
  }

  private func probe() {
    let interval = min(max(pool.settings.deadlockTimeout / 20, 50), 5000)
    while !isEnding.load(ordering: .sequentiallyConsistent) {
      pool.engine.probe()
      lastFreeGIL.store(Clock.monotonicMilliseconds(), ordering: .relaxed)
      probing.wait(while: 1, milliseconds: interval)
    }
    probing.set(0)
  }

  // MARK: verdicts

  private func act(on verdict: Timeouts.Verdict, _ now: Int64) {
    switch verdict {
    case .interrupt(let request):
      report("WSGI0410", "A request has run for \(Seconds.text(now &- request.since)); raising RequestTimeout in it", request)
      _ = pool.engine.interrupt(request.ticket)
    case .end(let reason, let drains, let request): end(reason, drains: drains, request, now)
    }
  }

  private func end(_ reason: ShutdownReason, drains: Bool, _ request: InFlight.Request?, _ now: Int64) {
    let settings = pool.settings
    let how = drains && settings.gracefulTimeout > 0 ? "finishing the other requests first" : "stopping the process"
    switch reason {
    case .requestTimeout:
      let age = Seconds.text(now &- (request?.since ?? now))
      report("WSGI0411", "Request time limit exceeded: a request has run for \(age); \(how)", request)
    case .startupTimeout:
      report("WSGI0412", "No script loaded within startup-timeout (\(Seconds.text(settings.startupTimeout))); \(how)", request)
    case .deadlockTimeout:
      report(
        "WSGI0413",
        "No thread could acquire the GIL for \(Seconds.text(settings.deadlockTimeout)) (deadlock-timeout); \(how)", request)
    case .inactivityTimeout:
      pool.log.write(.info, "Inactivity timeout of \(settings.title) expired; stopping the process.")
    case .memoryRecycle:
      pool.log.write(.info, "Resident memory of \(settings.title) is above memory-recycle; \(how).")
    default:
      pool.log.write(.info, "Restart interval of \(settings.title) expired; \(how).")
    }
    if drains, settings.gracefulTimeout > 0 { pool.drain(reason) } else { pool.stop(reason) }
  }

  /// One line: what happened, and where the request is.
  private func report(_ number: String, _ what: String, _ request: InFlight.Request?) {
    let id = request.flatMap { pool.inFlight.id(of: $0) }.map { ", request \($0)" } ?? ""
    var text = "\(number): \(what) (daemon process \(pool.settings.title)\(id))."
    if let request {
      let frames = pool.engine.stacks(request.ticket, milliseconds: TimeoutMonitor.stackPatience).lines
      text += frames.isEmpty ? " It runs no Python code." : " " + frames.joined(separator: ", ") + "."
    }
    pool.log.write(.warning, text)
  }
}
