import Testing

@testable import ProcessSupervision

@Suite struct DemandTests {
  private func demand(_ minimum: Int, _ maximum: Int, threads: Int = 2) -> Demand {
    Demand(minimum: minimum, maximum: maximum, threads: threads, idleTimeout: 16_000_000)
  }

  @Test func aRequestStartsTheFirstProcessAndNoOther() {
    var it = demand(0, 4)
    #expect(it.wanted == 0 && it.awaitsRequests(active: 0, starting: 0))
    it.look(isWaiting: true, active: 0, starting: 0, now: 1)
    #expect(it.wanted == 1)
    it.look(isWaiting: true, active: 1, starting: 1, now: 5_000_000)
    #expect(it.wanted == 1 && !it.awaitsRequests(active: 1, starting: 1))
  }

  @Test func oneMoreIsStartedWhenTheQueueHasNotBeenEmptyForAWhile() {
    var it = demand(1, 3)
    it.look(isWaiting: true, active: 1, starting: 0, now: 0)
    it.look(isWaiting: true, active: 1, starting: 0, now: Demand.patience - 1)
    #expect(it.wanted == 1)
    it.look(isWaiting: false, active: 1, starting: 0, now: Demand.patience)
    it.look(isWaiting: true, active: 1, starting: 0, now: Demand.patience + 1)
    #expect(it.wanted == 1, "it was empty")
    it.look(isWaiting: true, active: 1, starting: 0, now: 2 * Demand.patience + 1)
    #expect(it.wanted == 2)
    it.look(isWaiting: true, active: 3, starting: 0, now: 10 * Demand.patience)
    it.look(isWaiting: true, active: 3, starting: 0, now: 20 * Demand.patience)
    #expect(it.wanted == 2 && !it.awaitsRequests(active: 3, starting: 0), "there are as many as may be")
  }

  @Test func whatCannotStartIsNotTriedForRequestsThatHaveGone() {
    var it = demand(0, 1)
    it.look(isWaiting: true, active: 0, starting: 0, now: 0)
    #expect(it.wanted == 1)
    // Until it can be tried again the request is not looked for: it is still there.
    #expect(!it.awaitsRequests(active: 0, starting: 0))
    it.look(isWaiting: false, active: 0, starting: 0, now: 1)
    #expect(it.wanted == 0 && it.awaitsRequests(active: 0, starting: 0))
  }

  /// Counts once a second; the results are the seconds at which there were too many, with what was wanted then.
  private func run(_ it: inout Demand, active: Int, _ seconds: Range<Int64>, busy: Int, hasRun: Bool) -> [Int64: Int] {
    var found: [Int64: Int] = [:]
    for second in seconds where it.count(busy: busy, hasRun: hasRun, active: active, now: second * 1_000_000) {
      found[second] = it.wanted
    }
    return found
  }

  @Test func idleProcessesEndWithTheTimeoutAndNotBefore() {
    var it = demand(0, 4)
    for _ in 0..<2 { it.look(isWaiting: true, active: 0, starting: 0, now: 0) }
    let busy = run(&it, active: 1, 0..<40, busy: 1, hasRun: true)
    #expect(busy.isEmpty)
    let idle = run(&it, active: 1, 40..<60, busy: 0, hasRun: false)
    #expect(idle.keys.min().map { (55...57).contains($0) } == true && idle.values.allSatisfy { $0 == 0 })
  }

  @Test func asManyStayAsWereBusyAtOnce() {
    var it = demand(0, 4)
    it.look(isWaiting: true, active: 0, starting: 0, now: 0)
    for active in 1...3 {
      it.look(isWaiting: true, active: active, starting: 0, now: 0)
      it.look(isWaiting: true, active: active, starting: 0, now: Demand.patience)
    }
    #expect(it.wanted == 4)
    // A trickle, of which no count finds anything running, and three threads of two a process.
    var trickle = it
    #expect(run(&trickle, active: 4, 0..<30, busy: 0, hasRun: true).values.allSatisfy { $0 == 1 })
    #expect(trickle.wanted == 1)
    #expect(run(&it, active: 4, 0..<30, busy: 3, hasRun: true).values.allSatisfy { $0 == 2 })
    #expect(it.wanted == 2)
  }

  @Test func withoutATimeoutTheyStay() {
    var it = Demand(minimum: 0, maximum: 2, threads: 1, idleTimeout: 0)
    it.look(isWaiting: true, active: 0, starting: 0, now: 0)
    #expect(run(&it, active: 1, 0..<1000, busy: 0, hasRun: false).isEmpty && it.wanted == 1)
  }

  @Test func theFewestStay() {
    var it = demand(2, 4)
    #expect(run(&it, active: 2, 0..<60, busy: 0, hasRun: false).isEmpty)
    #expect(run(&it, active: 3, 60..<90, busy: 0, hasRun: false).values.allSatisfy { $0 == 2 })
  }

  @Test func aFixedNumberNeedsNoLook() {
    var it = demand(3, 3)
    #expect(it.isFixed && it.wanted == 3 && !it.awaitsRequests(active: 0, starting: 0))
    it.look(isWaiting: true, active: 0, starting: 0, now: 0)
    #expect(it.wanted == 3 && it.nextCount == .max)
  }
}
