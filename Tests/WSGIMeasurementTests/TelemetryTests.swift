import Glibc
import Platform
import Synchronization
import Testing
import WSGICore

@testable import WSGIMeasurement

/// The reports of a process, as its service and its log get them.
@Suite struct TelemetryTests {
  /// A process that remembers its log.
  final class TestProcess: MeasuredProcess {
    let lines = Mutex<[String]>([])
    let meters: [RequestMeter]
    let log: CollectorLog?

    init(meters: [RequestMeter] = [], log: CollectorLog? = nil) {
      self.meters = meters
      self.log = log
    }

    let place = "of a test"
    let pythonVersion = "3.11.2"
    let activeRequests = 4
    var collectors: [(interpreter: [UInt8], log: CollectorLog?)] { [(Array("shop".utf8), log)] }
    func inspectCollectors(limit: Int) -> (snapshots: [CollectorSnapshot], switchInterval: Double?) {
      (limit == 0 ? [] : [CollectorSnapshot(interpreter: Array("shop".utf8), numbers: [1, 2])], 0.25)
    }
    func stacks(_ ticket: UInt64, milliseconds: UInt32) -> ([String], Bool) { (["stack of \(ticket)"], false) }
    func warn(_ sentence: String) { lines.withLock { $0.append("warn: " + sentence) } }
    func inform(_ sentence: String) { lines.withLock { $0.append("info: " + sentence) } }
  }

  private func settings(target: String? = nil) -> EngineSettings {
    var settings = EngineSettings()
    settings.telemetryInterval = 3600
    settings.telemetryTarget = target.map { Array($0.utf8) }
    return settings
  }

  /// The kinds of all datagrams that have come to a socket.
  private func kinds(_ socket: Int32) -> [UInt8] {
    var kinds: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: Datagram.limit)
    while recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT)) > Datagram.headerCount { kinds.append(buffer[5]) }
    return kinds
  }

  private func bound(_ path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let result = withUnsafePointer(to: &address) { name in
      name.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
    }
    try #require(result == 0)
    return descriptor
  }

  @Test func aServiceIsToldOfALife() throws {
    var template = Array("/tmp/wsgi-telemetry-XXXXXX".utf8CString)
    let path = String(cString: mkdtemp(&template)) + "/socket"
    let service = try bound(path)
    defer {
      close(service)
      unlink(path)
      rmdir(String(path.dropLast("/socket".count)))
    }
    let accounting = Accounting(isDaemon: true, threadLimit: 1)
    let sampler = MetricsSampler(accounting)
    sampler.begin()
    let log = CollectorLog()
    log.begins()
    log.ended(generation: 2, collected: 3, uncollectable: 0)
    let process = TestProcess(log: log)
    let telemetry = try #require(Telemetry(settings(target: path), process, accounting, sampler, nil))
    telemetry.stopping("enough")
    telemetry.end()
    #expect(
      kinds(service)
        == [
          .processStarted, .processStopping, .requestMetrics, .collectorEvent, .collectorSnapshot,
          .processStopped,
        ].map { (kind: Datagram.Kind) in kind.rawValue })
    telemetry.abandon()
    #expect(kinds(service).isEmpty && log.drain(limit: 9).isEmpty)
    #expect(process.lines.withLock { $0 } == ["info: Reporting to 'unix:\(path)' every 3600.0 s of a test."])
  }

  @Test func slowRequestsAreLoggedOnceEach() throws {
    let accounting = Accounting(isDaemon: true, threadLimit: 1)
    let slow = try #require(SlowRequests(RequestMeterTests.settings(slowAfter: 1)))
    let meter = RequestMeter(accounting, slow, RequestMeterTests.Waits(), threadOrdinal: 0)
    meter.begin(try RequestMeterTests.head(), start: Clock.epochMicroseconds() - 3_000_000, ticket: 12, interest: .slowRequests)
    let process = TestProcess(meters: [meter])
    let telemetry = try #require(Telemetry(settings(), process, accounting, MetricsSampler(accounting), slow))
    telemetry.end()
    let lines = process.lines.withLock { $0 }
    #expect(lines.count == 4 && lines[0] == "info: Reporting of slow requests every 3600.0 s of a test.")
    #expect(lines[1].hasPrefix("warn: WSGI0510: Slow request:  / of host '' has run for 3."))
    #expect(lines[3] == "warn: WSGI0510: stack of 12")
  }

  @Test func whatCannotBeReported() {
    let accounting = Accounting(isDaemon: false, threadLimit: 1)
    let process = TestProcess()
    let sampler = MetricsSampler(accounting)
    #expect(Telemetry(settings(), process, accounting, sampler, nil) == nil)
    #expect(Telemetry(settings(target: "/" + String(repeating: "x", count: 200)), process, accounting, sampler, nil) == nil)
    #expect(process.lines.withLock { $0.count == 1 && $0[0].hasPrefix("warn: WSGI0132: ") })
  }

  @Test(arguments: [(0, 0.5), (-3, 0.5), (Double.nan, 0.5), (2, 2), (1e12, 86400)])
  func intervals(asked: Double, given: Double) {
    #expect(Telemetry.interval(asked) == given)
  }
}
