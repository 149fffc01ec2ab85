import Platform
import Testing

@testable import WSGIMeasurement

@Suite struct AccountingTests {
  private func totals(status: Int32, application: UInt64 = 0) -> RequestTotals {
    var totals = RequestTotals()
    totals.status = status
    totals[.application] = application
    totals[.request] = application
    totals.busy = application
    return totals
  }

  @Test(arguments: [(200, 1), (199, 0), (301, 2), (404, 3), (500, 4), (0, 4), (999, 4)])
  func classes(status: Int32, statusClass: Int) { #expect(totals(status: status).statusClass == statusClass) }

  @Test func aSampleIsWhatHappenedSinceTheLastOne() throws {
    let accounting = Accounting(isDaemon: true, threadLimit: 3)
    let sampler = MetricsSampler(accounting)
    #expect(sampler.sample() == nil)
    let account = accounting.account(forThread: 4)
    #expect(account === accounting.account(forThread: 4))
    // What was counted before is not part of the first period.
    account.countEnded()
    sampler.begin()
    for milliseconds in [2, 4] as [UInt64] {
      #expect(account.begin(Clock.epochMicroseconds()))
      account.end(
        totals(status: 200, application: milliseconds * 1_000_000), isOutermost: true, period: accounting.period)
    }
    let first = try #require(sampler.sample())
    #expect(first.requests == 2 && first.statusClasses == [0, 2, 0, 0, 0])
    #expect(first.mean(.application) == 0.003)
    let phase = first.phases[RequestPhase.application.rawValue]
    #expect(phase.smallest == 2_000_000 && phase.largest == 4_000_000)
    #expect(phase.buckets[4] == 1 && phase.buckets[8] == 1 && phase.buckets.reduce(0, +) == 2)
    #expect(first.slots.map { $0.ended } == [2, 0, 0] && first.slots[0].longest == 4_000_000)
    #expect(first.threadsMaximum == 3 && first.threadsStarted == 1 && first.threadsActive == 1)

    let second = try #require(sampler.sample())
    #expect(second.requests == 0 && second.start == first.stop && second.threadsActive == 0)
    #expect(second.phases[RequestPhase.application.rawValue].smallest == nil && second.slots[0].longest == 0)

    account.end(totals(status: 404, application: 9_000_000), isOutermost: true, period: accounting.period)
    let third = try #require(sampler.sample())
    #expect(third.statusClasses == [0, 0, 0, 1, 0] && third.phases[RequestPhase.application.rawValue].smallest == 9_000_000)
    #expect(accounting.endedRequests == 4)
  }

  @Test func aRequestThatRunsKeepsItsThreadBusy() throws {
    let accounting = Accounting(isDaemon: false, threadLimit: 1)
    let sampler = MetricsSampler(accounting)
    sampler.begin()
    let account = accounting.account(forThread: 0)
    let begun = Clock.epochMicroseconds() - 5_000_000
    #expect(account.begin(begun))
    // A sub-request is part of the request that it belongs to.
    #expect(!account.begin(begun))
    account.end(totals(status: 200, application: 1_000_000_000), isOutermost: false, period: accounting.period)
    let sample = try #require(sampler.sample())
    #expect(sample.slots[0].busy >= 5_000_000_000 && sample.slots[0].elapsed == sample.slots[0].busy)
    #expect(sample.threadsActive == 1 && sample.requests == 1)
    // When it ends, the next period gets no more than what had not been told yet.
    account.end(totals(status: 200, application: 5_000_000_000), isOutermost: true, period: accounting.period)
    let last = try #require(sampler.sample())
    #expect(last.slots[0].busy == 0 && last.slots[0].elapsed == 0)
  }

  @Test func readersSeeUpdatesAsAWhole() async {
    let words = WatchedWords(count: 4)
    let writer = Task.detached {
      for number in 1...200_000 as ClosedRange<UInt64> {
        words.update { for index in 0..<4 { words[index] = number } }
      }
    }
    var last: UInt64 = 0
    while last < 200_000 {
      let seen = words.snapshot()
      #expect(Set(seen).count == 1 && seen[0] >= last)
      last = seen[0]
      await Task.yield()
    }
    await writer.value
  }
}
