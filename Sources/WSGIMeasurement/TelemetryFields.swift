import Glibc
import Platform
import WSGICore

// The fields of a datagram; the numbers are those of the wire format that `mod_wsgi-telemetry` reads.

/// Which process reports.
struct TelemetryIdentity: Sendable {
  private let settings: EngineSettings
  private let pythonVersion: String
  private let hostname: String
  private let parent = UInt64(clamping: getppid())

  init(_ settings: EngineSettings, pythonVersion: String) {
    self.settings = settings
    self.pythonVersion = pythonVersion
    var name = [CChar](repeating: 0, count: 256)
    let isKnown = gethostname(&name, name.count - 1) == 0
    hostname = isKnown ? String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) : ""
  }

  /// Host and process group.
  func setPlace(_ datagram: inout Datagram) {
    datagram.set(5, ifAny: hostname.utf8)
    datagram.set(6, ifAny: settings.processGroup)
  }

  func setAll(_ datagram: inout Datagram) {
    let version = ModuleVersion.compatible
    datagram.set(1, "\(version.0).\(version.1).\(version.2)")
    datagram.set(2, pythonVersion)
    datagram.set(3, ifAny: settings.apacheVersion.utf8)
    datagram.set(4, ifAny: settings.mpmName)
    setPlace(&datagram)
    datagram.set(7, parent)
  }
}

extension MetricsSample {
  /// The most threads that are reported one by one.
  private static let slotLimit = 128

  func write(to datagram: inout Datagram, isDaemon: Bool) {
    datagram.set(20, requests)
    datagram.set(21, throughput)
    datagram.set(22, capacityUtilization)
    datagram.set(30, userUtilization)
    datagram.set(31, systemUtilization)
    datagram.set(32, userUtilization + systemUtilization)
    datagram.set(40, memory.resident)
    datagram.set(41, memory.largest)
    datagram.set(50, threadsMaximum)
    datagram.set(51, threadsStarted)
    datagram.set(52, threadsActive)
    writePhases(to: &datagram, isDaemon: isDaemon)
    datagram.set(from: 100, traffic)
    for (index, count) in statusClasses.enumerated() { datagram.set(120 + UInt16(index), count) }
    let slots = slots.prefix(MetricsSample.slotLimit)
    datagram.set(110, slots.map { $0.ended })
    datagram.set(111, slots.map { Double($0.busy) / 1e9 })
    datagram.set(112, slots.map { Double($0.processor) / 1e9 })
    datagram.set(113, slots.map { Double($0.elapsed) / 1e9 })
    datagram.set(114, slots.map { Double($0.longest) / 1e9 })
  }

  private func writePhases(to datagram: inout Datagram, isDaemon: Bool) {
    for phase in RequestPhase.allCases {
      let id = UInt16(phase.rawValue)
      let times = phases[phase.rawValue]
      if phase.isDaemonOnly && !isDaemon { continue }
      if !phase.isDaemonOnly || requests > 0 { datagram.set(60 + id, mean(phase)) }
      if let smallest = times.smallest { datagram.set(70 + id, nanoseconds: smallest) }
      if let largest = times.largest { datagram.set(80 + id, nanoseconds: largest) }
      datagram.set(90 + id, times.buckets)
    }
  }
}

extension Datagram {
  fileprivate mutating func set(from id: UInt16, _ traffic: RequestTraffic) {
    for index in 0..<4 { set(id + UInt16(index), traffic.counts[index]) }
  }
}

extension SlowRequest {
  func write(to datagram: inout Datagram) {
    datagram.set(200, isRunning ? 0 : 1)
    datagram.set(201, Clock.seconds(microseconds: start))
    datagram.set(202, Clock.seconds(microseconds: duration))
    datagram.set(203, thread)
    datagram.set(204, ifAny: identity[.logID])
    datagram.set(205, identity.serverPID == 0 ? UInt64(clamping: getpid()) : identity.serverPID)
    let fields: [RequestIdentity.Field] = [
      .method, .scheme, .hostname, .scriptName, .pathInfo, .httpProtocol, .peer, .userAgent,
    ]
    for (index, field) in fields.enumerated() { datagram.set(210 + UInt16(index), ifAny: identity[field]) }
    let phases: [RequestPhase] = [.server, .queue, .daemon, .application, .gilWait]
    for (index, phase) in phases.enumerated() { datagram.set(220 + UInt16(index), nanoseconds: totals[phase]) }
    datagram.set(225, totals.gilWaits)
    datagram.set(from: 230, totals.traffic)
    datagram.set(234, nanoseconds: totals[.inputRead])
    datagram.set(235, nanoseconds: totals[.outputWrite])
    datagram.set(240, UInt64(clamping: status))
    datagram.set(250, nanoseconds: processor.user)
    datagram.set(251, nanoseconds: processor.system)
    datagram.set(260, activeAtStart)
    datagram.set(261, activeAtCompletion)
  }
}

extension CollectorSnapshot {
  func write(to datagram: inout Datagram, dropped: UInt64) {
    for (index, number) in numbers.enumerated() { datagram.set(300 + UInt16(index), number) }
    datagram.set(317, dropped)
  }
}

extension CollectorEvent {
  func write(to datagram: inout Datagram) {
    datagram.set(320, Clock.seconds(microseconds: start))
    datagram.set(321, nanoseconds: duration)
    datagram.set(322, generation)
    datagram.set(323, collected)
    datagram.set(324, uncollectable)
  }
}
