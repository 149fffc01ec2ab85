import CEngine
import CPosix
import DaemonTransport
import Glibc
import Platform
import ProcessSupervision
import Synchronization
import WSGICore

/// The threads that run requests, and when they end.
final class RequestPool: Sendable {
  let settings: WorkerSettings
  let engine: Engine
  let log: ProcessLog
  let control: ControlChannel
  let processID: UInt32
  /// The group's, as opposed to one that was handed over.
  private let queue: Int32
  /// That of the process's session slot; -1: it has none.
  private let sessions: Int32
  /// Where httpd's children find out which process had a request.
  let owners: RequestOwners?
  let election: LeaderElection
  let inFlight: InFlight
  let lifecycle = Lifecycle()
  let reloads = Reloads()
  let contention: GILContention
  /// Threads that have not ended.
  let living = Wakeup()
  /// Wakes the main thread: the process is to be shut down.
  private let stopped: @Sendable () -> Void
  private let completed = Atomic<Int>(0)

  // For the monitor; milliseconds of the monotonic clock, 0: not yet.
  private let lastActivity = Atomic<Int64>(0)
  private let waitsForScriptSince = Atomic<Int64>(0)
  private let hasScript = Atomic<Bool>(false)
  private let hasFailedImport = Atomic<Bool>(false)

  init(
    _ settings: WorkerSettings, _ engine: Engine, queue: Int32, sessions: Int32 = -1, owners: RequestOwners? = nil,
    activity: UnsafeMutableRawPointer? = nil, log: ProcessLog, control: ControlChannel = .ofWorker,
    stopped: @escaping @Sendable () -> Void
  ) {
    self.settings = settings
    self.engine = engine
    self.log = log
    self.control = control
    self.stopped = stopped
    self.queue = queue
    self.sessions = sessions
    self.owners = owners
    processID = UInt32(bitPattern: getpid())
    contention = GILContention(holdsLead: !settings.runsInParallel)
    let inFlight = InFlight(count: settings.threads, memory: activity)
    self.inFlight = inFlight
    election = LeaderElection(count: settings.threads, queue: queue, sharesGIL: !settings.runsInParallel) {
      inFlight.setSaturated($0)
    }
  }

  /// Starts the threads; false when not one can be had.
  func start() -> Bool {
    // Without an understudy a lead that is held would stay so; with one thread there is no other to pass it to.
    if settings.threads > 1 {
      let failure = DetachedThread.start(named: "wsgi:leader", stackSize: settings.stackSize, takesSignals: true) { [election] in
        election.runUnderstudy()
      }
      guard failure == 0 else { return false }
    }
    for index in 0..<settings.threads {
      living.add(1)
      let failure = DetachedThread.start(named: "wsgi:\(index)", stackSize: settings.stackSize, takesSignals: true) { [self] in
        inFlight.setThread(index, wsgi_posix_thread_id())
        let thread = UnsafeMutablePointer<RequestThread>.allocate(capacity: 1)
        thread.initialize(to: RequestThread(index, self))
        if sessions >= 0, let owners {
          RequestThread.serve(thread, from: SessionReader(slot: sessions, group: queue, owners: owners, processID: processID))
        } else {
          RequestThread.serve(thread, from: GroupReader())
        }
        thread.deinitialize(count: 1)
        thread.deallocate()
        living.add(.max)
      }
      if failure != 0 {
        living.add(.max)
        log.write(
          .error,
          "WSGI0022: Could only start \(index) of \(settings.threads) threads: \(String(cString: strerror(failure))).")
        return index > 0
      }
    }
    return true
  }

  // MARK: a request

  /// Whether new code is to answer a request that came from `source`: it was taken after this process had been told to drain.
  @inline(__always)
  func isTooOld(for source: Int32) -> Bool {
    !lifecycle.isRunning && source == queue && lifecycle.reason == .scriptReload
  }

  /// Whether requests from `source` are such as this process was started for.
  @inline(__always)
  func isHandedOver(_ source: Int32) -> Bool { source != queue }

  @inline(__always)
  func begin(
    _ thread: Int, number: UInt64, id: UnsafeRawBufferPointer, head: UnsafeRawBufferPointer, now: Int64
  ) -> UInt64 {
    if settings.startupTimeout > 0, !hasScript.load(ordering: .relaxed) { armStartup(now) }
    return inFlight.begin(thread, number: number, id: id, head: head, now: now)
  }

  @inline(__always)
  func end(_ thread: Int, _ outcome: wsgi_outcome) {
    if outcome.script_loaded != 0, !hasScript.load(ordering: .relaxed) { scriptLoaded() }
    if outcome.script_failure != 0 { importFailed() }
    inFlight.end(thread, isRun: outcome.end != RequestEnd.stale.rawValue)
    if settings.maximumRequests > 0, outcome.end != RequestEnd.stale.rawValue { countRequest() }
    if !lifecycle.isRunning { stopIfDrained() }
  }

  @inline(__always)
  func markActivity() { lastActivity.store(Clock.monotonicMilliseconds(), ordering: .relaxed) }

  @inline(never)
  private func armStartup(_ now: Int64) {
    let (isFirst, _) = waitsForScriptSince.compareExchange(expected: 0, desired: now, ordering: .relaxed)
    if isFirst { log.write(.info, "Application startup timer of \(settings.title) started.") }
  }

  @inline(never)
  private func scriptLoaded() {
    hasScript.store(true, ordering: .relaxed)
    control.send(.answered)
    if waitsForScriptSince.exchange(0, ordering: .relaxed) > 0 {
      log.write(.info, "Application startup timer of \(settings.title) cancelled: the script is loaded.")
    }
  }

  private func countRequest() {
    let number = completed.wrappingAdd(1, ordering: .relaxed).newValue
    guard number >= settings.maximumRequests, lifecycle.isRunning else { return }
    log.write(.info, "Maximum requests reached, shutting down daemon process \(settings.title).")
    if settings.gracefulTimeout == 0 { stop(.maximumRequests) } else { drain(.maximumRequests) }
  }

  // MARK: the end

  /// No more requests are taken; those that run have so long (milliseconds, nil: graceful-timeout; 0: as long as they like).
  func drain(_ reason: ShutdownReason, allowance: Int64? = nil) {
    let allowance = allowance ?? settings.gracefulTimeout
    let deadline = allowance > 0 ? Clock.monotonicMilliseconds() &+ allowance : nil
    guard lifecycle.beginDraining(reason, deadline: deadline) else { return }
    election.leaveQueue()
    returnKept()
    // Who is told that we drain relies on it: the thread that waits on the queue must have left it.
    var patience = 200
    while election.interrupt(), patience > 0 {
      usleep(1000)
      patience -= 1
    }
    control.tell(.draining(reason), within: 1_000)
    stopIfDrained()
  }

  /// The process ends now.
  func stop(_ reason: ShutdownReason) {
    guard lifecycle.beginStopping(reason) else { return }
    election.close()
    returnKept()
    stopped()
  }

  /// Ends the process when it has drained.
  func stopIfDrained() {
    guard lifecycle.phase == .draining, !election.isOpen else { return }
    let limits = settings.limits
    let now = Clock.monotonicMilliseconds()
    let isBusy = inFlight.requests.contains { limits.staleAge == 0 || now &- $0.since <= limits.staleAge }
    if !isBusy { stop(lifecycle.reason) }
  }

  /// A thread found that a source of requests is at its end.
  func sourceEnded(_ source: Int32) {
    guard election.ended(source) else { return }
    log.write(.info, "Queue of daemon process \(settings.title) closed; finishing remaining requests.")
  }

  /// A thread leaves: no more requests are taken.
  func drained() {
    if lifecycle.isRunning { drain(.shutdownSignal) } else { stopIfDrained() }
  }

  /// The new code of a script does not load: the process keeps the old code, or refuses the waiting requests if it has none.
  func keepCode(_ change: ScriptChange) {
    let waiting = reloads.wasRefused(change)
    if change.failure == 0 { giveBack(waiting) } else { end(waiting) { $0.fail(status: 500) } }
  }

  /// There is another supervisor. Requests that it cannot be asked for go back to the queue.
  func askAgain() { giveBack(reloads.askAgain(control)) }

  /// The import of a script failed. The supervisor hears of it once.
  @inline(never)
  func importFailed() {
    if !hasFailedImport.exchange(true, ordering: .relaxed) { control.tell(.importFailed, within: 1_000) }
  }

  /// Requests that wait for new code go back to the queue: another process will have it.
  private func returnKept() { giveBack(reloads.close()) }

  private func giveBack(_ requests: [Reloads.Kept]) { end(requests) { $0.handBack() } }

  private func end(_ requests: [Reloads.Kept], _ answer: (inout ChannelServer) -> Void) {
    for request in requests {
      var channel = ChannelServer(workerID: processID, socketTimeout: settings.socketTimeout)
      channel.open(request.channel, request.envelope.channelKind)
      answer(&channel)
      channel.close()
    }
  }

  /// Puts the request that waited longest for new code into the queue of a process that has it.
  func handOver(to queue: Int32) {
    defer { close(queue) }
    guard let request = reloads.takeNext() else { return }
    owners?.noteHandingOver(request.envelope)
    let isTaken = request.head.withUnsafeBytes {
      QueueWriter.pass($0, request.envelope, channel: request.channel, to: queue)
    }
    guard !isTaken else {
      close(request.channel)
      return
    }
    end([request]) { $0.handBack() }
  }

  // MARK: for the monitor

  func facts(lastFreeGIL: Int64) -> Timeouts.Facts {
    Timeouts.Facts(
      waitsForScriptSince: waitsForScriptSince.load(ordering: .relaxed), lastActivity: lastActivity.load(ordering: .relaxed),
      lastFreeGIL: lastFreeGIL,
      resident: settings.memoryRecycle > 0 ? UInt64(clamping: ProcessMemory.now().resident) : 0)
  }
}

extension WorkerSettings {
  var groupName: String { engine.processGroup.text }
  /// How messages name this process, which others of its group write into the same log.
  var title: String { "'\(groupName)' (pid=\(getpid()))" }

  var limits: Timeouts.Limits {
    Timeouts.Limits(
      request: requestTimeout, interrupt: interruptTimeout, startup: startupTimeout, deadlock: deadlockTimeout,
      inactivity: inactivityTimeout, restart: restartInterval, memory: memoryRecycle, threads: engine.threads)
  }
}
