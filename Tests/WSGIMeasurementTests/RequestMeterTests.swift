import Platform
import Synchronization
import Testing
import WSGICore

@testable import WSGIMeasurement

/// What a meter and the reports make of a request, without a Python: its waits and stacks are the test's.
@Suite struct RequestMeterTests {
  final class Waits: GILWaits {
    var timesWaits = false
    private(set) var allWaits: (time: UInt64, count: UInt64) = (0, 0)

    func wait(_ nanoseconds: UInt64) {
      allWaits.time += nanoseconds
      allWaits.count += 1
    }
  }

  static func settings(slowAfter seconds: Double) -> EngineSettings {
    var settings = EngineSettings()
    settings.slowRequests = seconds
    return settings
  }

  static func head(requestStart: Int64 = 0, queueStart: Int64 = 0) throws -> RequestHead {
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    var writer = RequestHeadWriter()
    writer.begin(
      flags: [], contentLength: -1, scriptModified: 0, requestStart: requestStart, queueStart: queueStart, processGroup: none,
      applicationGroup: none, script: none, callable: none)
    // Nothing of it is read but its times.
    return try RequestHead(decoding: writer.finish(pairs: 0))
  }

  @Test func aRequestAddsUp() throws {
    let accounting = Accounting(isDaemon: false, threadLimit: 1)
    let sampler = MetricsSampler(accounting)
    sampler.begin()
    let waits = Waits()
    waits.wait(77)
    let meter = RequestMeter(accounting, nil, waits, threadOrdinal: 3)
    let request = try RequestMeterTests.head(requestStart: Clock.epochMicroseconds() - 2000)
    meter.begin(request, start: Clock.epochMicroseconds(), ticket: 1, interest: .recording)
    #expect(meter.isOn && waits.timesWaits)
    waits.wait(5000)
    waits.wait(6000)
    #expect(meter.gilWait == (11000, 2))
    meter.applicationStarts(Clock.epochMicroseconds())
    var traffic = RequestTraffic()
    traffic.inputBytes = 10
    traffic.inputReads = 1
    meter.read(since: Clock.monotonicNanoseconds() - 40, traffic)
    traffic.outputBytes = 20
    traffic.outputWrites = 2
    meter.wrote(since: Clock.monotonicNanoseconds() - 50, traffic)
    #expect(meter.end(request, status: 404, traffic: traffic) == nil)
    #expect(!meter.isOn && !waits.timesWaits)
    let sample = try #require(sampler.sample())
    #expect(sample.requests == 1 && sample.statusClasses[3] == 1 && sample.gilWaits == 2)
    #expect(sample.traffic.inputBytes == 10 && sample.traffic.outputWrites == 2)
    #expect(sample.phases[RequestPhase.gilWait.rawValue].total == 11000)
    #expect(
      sample.phases[RequestPhase.server.rawValue].total >= 2_000_000 && sample.phases[RequestPhase.inputRead.rawValue].total >= 40
    )
    #expect(sample.phases[RequestPhase.queue.rawValue].total == 0)
  }

  @Test func whatNobodyRecordsIsCountedAllTheSame() throws {
    let accounting = Accounting(isDaemon: true, threadLimit: 1)
    let sampler = MetricsSampler(accounting)
    sampler.begin()
    let meter = RequestMeter(accounting, nil, Waits(), threadOrdinal: 0)
    let request = try RequestMeterTests.head()
    meter.begin(request, start: Clock.epochMicroseconds(), ticket: 1, interest: .events)
    _ = meter.end(request, status: 200, traffic: RequestTraffic())
    // One that was for another process is not.
    meter.begin(request, start: Clock.epochMicroseconds(), ticket: 2, interest: .events)
    meter.abandon()
    #expect(sampler.sample()?.requests == 0 && accounting.endedRequests == 1)
  }

  @Test func slowRequestsAreSeenFromOutside() throws {
    let accounting = Accounting(isDaemon: true, threadLimit: 1)
    let slow = try #require(SlowRequests(RequestMeterTests.settings(slowAfter: 1)))
    let waits = Waits()
    let meter = RequestMeter(accounting, slow, waits, threadOrdinal: 7)
    let start = Clock.epochMicroseconds() - 5_000_000
    let request = try RequestMeterTests.head(requestStart: start - 3000)
    meter.begin(request, start: start, ticket: 9, interest: .slowRequests)
    meter.identify {
      "\($0)" == "REQUEST_METHOD" ? UnsafeRawBufferPointer(start: ("PUT" as StaticString).utf8Start, count: 3) : nil
    }
    waits.wait(2000)
    let now = Clock.epochMicroseconds()
    #expect(meter.running(longerThan: 60_000_000, now: now) == nil)
    let seen = try #require(meter.running(longerThan: slow.threshold, now: now))
    #expect(seen.isRunning && seen.ticket == 9 && seen.thread == 7 && seen.duration == now - start && seen.activeAtStart == 1)
    #expect(seen.identity[.method] == Array("PUT".utf8) && seen.totals.gilWaits == 1 && seen.totals[.gilWait] == 2000)
    let record = try #require(meter.end(request, status: 500, traffic: RequestTraffic()))
    #expect(!record.isRunning && record.status == 500 && record.duration >= 5_000_000)
    #expect(record.summary(threshold: slow.threshold).contains("PUT / of host '' took 5."))
    #expect(
      meter.running(longerThan: 0, now: Clock.epochMicroseconds()) == nil && accounting.active.load(ordering: .relaxed) == 0)
  }

  @Test(arguments: [0, -1, 2e9, Double.nan])
  func noRequestIsSlow(seconds: Double) {
    #expect(SlowRequests(RequestMeterTests.settings(slowAfter: seconds)) == nil)
  }
}
