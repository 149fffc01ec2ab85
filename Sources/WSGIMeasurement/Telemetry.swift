import Glibc
import Platform
import Synchronization
import WSGICore

/// The thread that reports on this process: at each interval to the telemetry service, where there is one, and slow requests to
/// the error log.
///
/// It needs no GIL for its figures; for what Python alone knows it asks through a `JobThread`, with a limit.
public final class Telemetry: @unchecked Sendable {  // guarded by `condition`, or used by its own thread only
  private let process: any MeasuredProcess
  private let accounting: Accounting
  private let sampler: MetricsSampler
  private let slowRequests: SlowRequests?
  /// Nil where slow requests are logged and nothing else.
  private let socket: TelemetrySocket?
  private let identity: TelemetryIdentity
  /// Nanoseconds.
  private let interval: UInt64
  private let condition = Condition()
  private var isEnding = false
  private var hasEnded = false
  private let hasStopped = FirstTime()
  private let inspector = JobThread()
  private let switchInterval: Atomic<UInt64>
  /// The slow requests that run and have been logged, by thread and start.
  private var logged: [Int: Int64] = [:]

  /// How long one look at Python may take before the report does without it.
  private static let patience: UInt32 = 250
  private static let stackPatience: UInt32 = 500
  private static let interpreterLimit = 32
  private static let eventLimit = 64
  private static let runningLimit = 16

  /// Starts to report; nil after logging why not, or where nothing is to be reported. `sampler` has begun where there is a
  /// service.
  public init?(
    _ settings: EngineSettings, _ process: any MeasuredProcess, _ accounting: Accounting, _ sampler: MetricsSampler,
    _ slowRequests: SlowRequests?
  ) {
    let path = settings.telemetryTarget?.text
    guard path != nil || slowRequests != nil else { return nil }
    self.process = process
    self.accounting = accounting
    self.sampler = sampler
    self.slowRequests = slowRequests
    identity = TelemetryIdentity(settings, pythonVersion: process.pythonVersion)
    let seconds = Telemetry.interval(settings.telemetryInterval)
    interval = UInt64(seconds * 1e9)
    switchInterval = Atomic((process.inspectCollectors(limit: 0).switchInterval ?? 0).bitPattern)
    do throws(TelemetrySocket.Failure) {
      socket = try path.map { path throws(TelemetrySocket.Failure) in try TelemetrySocket(path: path) }
    } catch {
      socket = nil
      process.warn("WSGI0132: Telemetry disabled \(process.place): \(Telemetry.explain(error)).")
    }
    guard socket != nil || slowRequests != nil else { return nil }
    if let socket { sendStarted(socket) }
    guard DetachedThread.start({ [self] in loop() }) == 0 else {
      process.warn("WSGI0133: Telemetry disabled \(process.place): cannot create its thread.")
      return nil
    }
    let target = path.map { " to 'unix:\($0)'" } ?? " of slow requests"
    process.inform("Reporting\(target) every \(seconds) s \(process.place).")
  }

  /// Seconds between two reports, of those that are configured.
  static func interval(_ configured: Double) -> Double { configured > 0.5 ? min(configured, 86400) : 0.5 }

  private static func explain(_ failure: TelemetrySocket.Failure) -> String {
    switch failure {
    case .pathTooLong: "the path of WSGITelemetryService is too long for a socket"
    case .noSocket(let code): "cannot create a socket (\(String(cString: strerror(code))))"
    }
  }

  // MARK: life

  /// The process has been told to stop. Once.
  public func stopping(_ reason: String) {
    socket?.send(.processStopping, Clock.epochMicroseconds()) { datagram in
      identity.setPlace(&datagram)
      datagram.set(130, ifAny: reason.utf8)
      datagram.set(133, process.activeRequests)
    }
    shutdownReason.withLock { $0 = reason }
  }

  private let shutdownReason = Mutex("")

  /// Reports a last time, and ends. Not while attached, nor with requests running.
  public func end() {
    condition.lock()
    isEnding = true
    condition.announce()
    while !hasEnded { condition.wait() }
    condition.unlock()
    inspector.waitUntilIdle()
    sendStopped(hasDrained: true)
  }

  /// The process is about to end in a hurry. Any thread; waits for nothing.
  public func abandon() {
    socket?.losePatience()
    sendStopped(hasDrained: false)
  }

  private func sendStopped(hasDrained: Bool) {
    guard let socket, hasStopped.isFirst else { return }
    let now = Clock.epochMicroseconds()
    let reason = shutdownReason.withLock { $0 }
    socket.send(.processStopped, now) { datagram in
      identity.setPlace(&datagram)
      datagram.set(130, ifAny: reason.utf8)
      datagram.set(131, Clock.seconds(microseconds: now &- accounting.processStart))
      datagram.set(132, accounting.endedRequests)
      datagram.set(134, process.activeRequests)
      datagram.set(135, hasDrained ? 1 : 0)
    }
    socket.close()
  }

  private func sendStarted(_ socket: TelemetrySocket) {
    socket.send(.processStarted, accounting.processStart) { datagram in
      identity.setAll(&datagram)
      setSwitchInterval(&datagram)
    }
  }

  // MARK: the thread

  private func loop() {
    var next = Clock.monotonicNanoseconds() &+ interval
    condition.lock()
    while !isEnding {
      guard !condition.wait(until: next) else { continue }
      condition.unlock()
      report()
      // Missed ticks are not made up for.
      next = max(next &+ interval, Clock.monotonicNanoseconds())
      condition.lock()
    }
    condition.unlock()
    report()
    condition.lock()
    hasEnded = true
    condition.announce()
    condition.unlock()
  }

  private func report() {
    let now = Clock.epochMicroseconds()
    socket?.renewPatience()
    if let socket, let sample = sampler.sample() { send(sample, socket) }
    if let slow = slowRequests { reportSlow(slow, now) }
    if let socket { reportCollector(socket, now) }
  }

  private func send(_ sample: MetricsSample, _ socket: TelemetrySocket) {
    socket.send(.requestMetrics, sample.stop) { datagram in
      identity.setAll(&datagram)
      datagram.set(10, sample.seconds)
      datagram.set(11, Double(interval) / 1e9)
      datagram.set(12, Clock.seconds(microseconds: slowRequests?.threshold ?? 0))
      setSwitchInterval(&datagram)
      sample.write(to: &datagram, isDaemon: accounting.isDaemon)
    }
  }

  private func setSwitchInterval(_ datagram: inout Datagram) {
    let seconds = Double(bitPattern: switchInterval.load(ordering: .relaxed))
    if seconds > 0 { datagram.set(13, seconds) }
  }

  // MARK: slow requests

  private func reportSlow(_ slow: SlowRequests, _ now: Int64) {
    let running = process.meters.compactMap { $0.running(longerThan: slow.threshold, now: now) }
      .sorted { $0.start < $1.start }
    if let socket {
      for record in slow.drain() + running.prefix(Telemetry.runningLimit) {
        socket.send(.slowRequest, now) { record.write(to: &$0) }
      }
    }
    logged = logged.filter { thread, start in running.contains { $0.thread == thread && $0.start == start } }
    for record in running.prefix(Telemetry.runningLimit) where logged[record.thread] != record.start {
      logged[record.thread] = record.start
      log(record, slow)
    }
  }

  private func log(_ record: SlowRequest, _ slow: SlowRequests) {
    let (lines, isComplete) = process.stacks(record.ticket, milliseconds: Telemetry.stackPatience)
    process.warn(
      "WSGI0510: Slow request: \(record.name) has run for \(SlowRequest.text(record.duration)) s so far "
        + "(WSGISlowRequests \(SlowRequest.text(slow.threshold)))\(record.suffix), \(process.place).")
    if !isComplete {
      process.warn("WSGI0510: Could not acquire the GIL within \(Telemetry.stackPatience) ms; apparent stacks of all threads:")
    }
    for line in lines { process.warn("WSGI0510: \(line)") }
  }

  // MARK: garbage collection

  private func reportCollector(_ socket: TelemetrySocket, _ now: Int64) {
    let interpreters = process.collectors
    let isOnly = interpreters.count == 1
    var logs: [[UInt8]: CollectorLog] = [:]
    for (name, log) in interpreters.prefix(Telemetry.interpreterLimit) {
      guard let log else { continue }
      logs[name] = log
      for event in log.drain(limit: Telemetry.eventLimit) {
        socket.send(.collectorEvent, now) { datagram in
          if !isOnly { datagram.set(8, ifAny: name) }
          event.write(to: &datagram)
        }
      }
    }
    for snapshot in inspect() {
      socket.send(.collectorSnapshot, now) { datagram in
        if !isOnly { datagram.set(8, ifAny: snapshot.interpreter) }
        snapshot.write(to: &datagram, dropped: logs[snapshot.interpreter]?.takeDropped() ?? 0)
      }
    }
  }

  /// The collectors' numbers; none where the GIL cannot be acquired in time, or an earlier look still waits.
  private func inspect() -> [CollectorSnapshot] {
    guard inspector.isIdle else { return [] }
    return inspector.run(milliseconds: Telemetry.patience) { [self] in
      let (snapshots, seconds) = process.inspectCollectors(limit: Telemetry.interpreterLimit)
      if let seconds { switchInterval.store(seconds.bitPattern, ordering: .relaxed) }
      return snapshots
    } ?? []
  }
}
