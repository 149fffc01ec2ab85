import Testing
import WSGICore

@testable import RequestCounting

/// What ended of late.
@Suite struct RequestHistoryTests {
  private let interval = RequestHistory.interval
  private let start: Int64 = 1_700_000_000_000_000

  private func made() -> RequestHistory { RequestHistory(base: RequestBook.words(RequestHistory.words)) }

  @Test func intervalsAreToldOldestFirst() {
    let history = made()
    for _ in 0..<3 { history.note(now: start, microseconds: 100, hasFailed: false) }
    history.note(now: start + interval, microseconds: 5000, hasFailed: true)
    let found = history.read(now: start + 2 * interval)
    #expect(found.count == RequestHistory.intervals)
    #expect(found.suffix(3) == [.init(ended: 3, failed: 0, duration: 300), .init(ended: 1, failed: 1, duration: 5000), .init()])
    #expect(found.dropLast(3).allSatisfy { $0 == .init() })
    #expect(found.suffix(3).map(\.mean) == [100, 5000, nil])
  }

  @Test func whatIsOldIsForgotten() {
    let history = made()
    history.note(now: start, microseconds: 100, hasFailed: true)
    let later = start + Int64(RequestHistory.intervals) * interval
    #expect(history.read(now: later).allSatisfy { $0 == .init() })
    history.note(now: later, microseconds: 7, hasFailed: false)
    #expect(history.read(now: later).last == .init(ended: 1, failed: 0, duration: 7))
  }

  @Test func aBusyGroupIsCountedWhole() {
    let history = made()
    for _ in 0..<100_000 { history.note(now: start, microseconds: 1, hasFailed: true) }
    #expect(history.read(now: start).last == .init(ended: 100_000, failed: 100_000, duration: 100_000))
  }

  @Test(arguments: [Int64.min, -1, 0, 1, .max]) func timesOfAnyKindDoNoHarm(now: Int64) {
    let history = made()
    history.note(now: now, microseconds: .max, hasFailed: true)
    history.note(now: now, microseconds: .max, hasFailed: true)
    #expect(history.read(now: now).last?.ended == 2)
    #expect(history.read(now: .max).count == RequestHistory.intervals)
  }

  @Test func aRowHasItsOwn() throws {
    let book = try #require(RequestBook(rows: 2, children: 1))
    defer { book.unmap() }
    let rows = try rows(of: book, 2)
    let seat = book.takeSeat(pid: 10)
    for status: Int32 in [200, 503, 999] {
      let ticket = seat.begin(rows[0], key: 16, started: start, RequestLabel(method: nil, path: nil))
      seat.end(ticket, status: status, cause: nil, microseconds: 4, now: start, isEmbedded: false)
    }
    #expect(book.history(of: rows[0], now: start).last == .init(ended: 3, failed: 1, duration: 12))
    #expect(book.history(of: rows[1], now: start).last == .init())
    rows[0].forgetCounts()
    #expect(book.history(of: rows[0], now: start).last == .init())
  }
}

/// How much of a processor a process uses.
@Suite struct ProcessorSharesTests {
  @Test func aShareIsThatSinceThePageBefore() {
    let shares = ProcessorShares(base: RequestBook.words(ProcessorShares.words))
    #expect(shares.share(of: 7, used: 1_000_000, now: 10_000_000) == nil)
    // Too soon to tell.
    #expect(shares.share(of: 7, used: 1_100_000, now: 10_100_000) == nil)
    #expect(shares.share(of: 7, used: 2_500_000, now: 15_000_000) == 300)
    #expect(shares.share(of: 7, used: 2_500_000, now: 20_000_000) == 0)
    // Another process of that number, or one that another has displaced.
    #expect(shares.share(of: 7, used: 0, now: 30_000_000) == nil)
    #expect(shares.share(of: 7 + Int32(ProcessorShares.places), used: 5, now: 30_000_000) == nil)
    #expect(shares.share(of: 7, used: 5, now: 40_000_000) == nil)
  }

  @Test(arguments: [Int64.min, -1, 0, .max]) func numbersOfAnyKindDoNoHarm(number: Int64) {
    let shares = ProcessorShares(base: RequestBook.words(ProcessorShares.words))
    for pid in [Int32.min, -1, 0, .max] {
      for now in [number, 1, .max, .min] { _ = shares.share(of: pid, used: number, now: now) }
    }
  }
}
