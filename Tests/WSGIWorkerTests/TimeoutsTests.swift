import ProcessSupervision
import Testing

@testable import WSGIWorker

@Suite struct TimeoutsTests {
  private func limits(_ change: (inout Timeouts.Limits) -> Void) -> Timeouts.Limits {
    var limits = Timeouts.Limits()
    change(&limits)
    return limits
  }

  private func request(_ ticket: UInt64, since: Int64) -> InFlight.Request { .init(ticket: ticket, since: since) }

  @Test(arguments: [(1, 1000), (3, 2098), (15, 3708)]) func theThresholdGrowsWithTheThreads(threads: Int, expected: Int64) {
    #expect(limits { ($0.request, $0.threads) = (1000, threads) }.requestThreshold == expected)
  }

  @Test func nothingSetIsNothingToDo() {
    var watch = Timeouts(Timeouts.Limits(), now: 0)
    let facts = Timeouts.Facts(waitsForScriptSince: 1, lastActivity: 1, lastFreeGIL: 1)
    #expect(watch.look([request(1, since: 0)], facts, now: .max / 2) == nil)
    #expect(watch.pause([request(1, since: 0)], facts, now: 10) == 60_000)
  }

  @Test func aRequestTooLongEndsTheProcess() {
    var watch = Timeouts(limits { $0.request = 1000 }, now: 0)
    #expect(watch.look([request(1, since: 100)], .init(), now: 1099) == nil)
    #expect(watch.pause([request(1, since: 100)], .init(), now: 600) == 500)
    let old = request(1, since: 100)
    // Alone it is stale, and nobody need be waited for; beside a young one the process drains.
    #expect(watch.look([old], .init(), now: 1101) == .end(.requestTimeout, drains: false, request: old))
    let both = [request(2, since: 1000), old]
    #expect(watch.look(both, .init(), now: 1101) == .end(.requestTimeout, drains: true, request: old))
  }

  @Test func aProcessThatIsTooLargeDrainsOnceItIsOldEnough() {
    var watch = Timeouts(limits { $0.memory = 1000 }, now: 100)
    #expect(watch.look([], .init(resident: 1001), now: 5099) == nil)
    #expect(watch.look([], .init(resident: 1000), now: 5100) == nil)
    #expect(watch.look([], .init(resident: 1001), now: 5100) == .end(.memoryRecycle, drains: true))
    #expect(watch.pause([], .init(resident: 1001), now: 200) == 500)
  }

  @Test func aRequestTooLongIsInterruptedFirst() {
    var watch = Timeouts(limits { ($0.request, $0.interrupt) = (1000, 500) }, now: 0)
    let (first, second) = (request(1, since: 1), request(2, since: 2))
    #expect(watch.look([first, second], .init(), now: 2000) == .interrupt(first))
    #expect(watch.look([first, second], .init(), now: 2001) == .interrupt(second))
    #expect(watch.look([first, second], .init(), now: 2400) == nil)
    #expect(watch.pause([first, second], .init(), now: 2400) == 100)
    // The first unwound in time, and its thread runs another request now.
    #expect(watch.look([request(1 << 16 | 1, since: 2300), second], .init(), now: 2490) == nil)
    let verdict = watch.look([request(1 << 16 | 1, since: 2300), second], .init(), now: 2501)
    #expect(verdict == .end(.requestTimeout, drains: true, request: second))
  }

  @Test func aGILThatIsNeverFreeEndsTheProcess() {
    var watch = Timeouts(limits { $0.deadlock = 300 }, now: 0)
    #expect(watch.look([], .init(lastFreeGIL: 100), now: 399) == nil)
    #expect(watch.look([], .init(lastFreeGIL: 100), now: 400) == .end(.deadlockTimeout, drains: false))
  }

  @Test func startupIsLimitedFromTheFirstRequestToTheFirstScript() {
    var watch = Timeouts(limits { $0.startup = 300 }, now: 0)
    #expect(watch.look([], .init(), now: 10_000) == nil)
    #expect(watch.look([], .init(waitsForScriptSince: 10_000), now: 10_299) == nil)
    #expect(watch.look([], .init(waitsForScriptSince: 10_000), now: 10_300) == .end(.startupTimeout, drains: false))
  }

  @Test func inactivityWaitsForRequestsThatAreNotStale() {
    var watch = Timeouts(limits { ($0.inactivity, $0.request, $0.interrupt) = (300, 1_000_000, 1) }, now: 0)
    #expect(watch.look([], .init(), now: 100_000) == nil)
    let facts = Timeouts.Facts(lastActivity: 1000)
    #expect(watch.look([], facts, now: 1299) == nil)
    #expect(watch.look([request(1, since: 1000)], facts, now: 1300) == nil)
    #expect(watch.look([], facts, now: 1300) == .end(.inactivityTimeout, drains: false))
  }

  @Test func theRestartIntervalDrains() {
    var watch = Timeouts(limits { $0.restart = 1000 }, now: 500)
    #expect(watch.look([], .init(), now: 1499) == nil)
    #expect(watch.pause([], .init(), now: 1400) == 100)
    #expect(watch.look([], .init(), now: 1500) == .end(.restartInterval, drains: false))
    #expect(watch.look([request(1, since: 1400)], .init(), now: 1500) == .end(.restartInterval, drains: true))
  }

  @Test func aThingThatIsOverdueDoesNotKeepTheMonitorBusy() {
    let watch = Timeouts(limits { ($0.inactivity, $0.restart) = (100, 100) }, now: 1)
    #expect(watch.pause([request(1, since: 1)], .init(lastActivity: 1), now: 50_000) == 100)
    #expect(Timeouts(limits { $0.restart = 5000 }, now: 1).pause([], .init(), now: 50_000) == 1000)
  }
}
