import Testing
import WSGICore

@testable import RequestCounting

private let unnamed = RequestLabel(method: nil, path: nil)

private func nameless(slot: Int, started: Int64) -> RequestBook.OpenRequest {
  RequestBook.OpenRequest(slot: slot, started: started, label: .init(method: [], path: nil))
}

/// All rows of a book.
func rows(of book: RequestBook, _ count: Int) throws -> [RequestBook.Row] {
  try (0..<count).map { try #require(book.row($0)) }
}

@Suite struct RequestBookTests {
  @Test func whatChildrenCountAddsUp() throws {
    let book = try #require(RequestBook(rows: 3, children: 4, threads: 2))
    defer { book.unmap() }
    let rows = try rows(of: book, 3)
    let seats = [book.takeSeat(pid: 10, now: 5), book.takeSeat(pid: 11, now: 6)]
    for number in 0..<1000 {
      let seat = seats[number % 2]
      let ticket = seat.begin(rows[1], key: UInt(number) << 12, started: 1_000_000, unnamed)
      let isFailure = number % 10 == 0
      seat.end(
        ticket, status: isFailure ? 502 : 200, cause: isFailure ? .workerEnded : nil, microseconds: 1500, now: 2_000_000,
        isEmbedded: true)
    }
    let counts = book.counts(of: rows[1])
    #expect(counts.statuses == [0, 0, 900, 0, 0, 100])
    #expect(counts.causes[RequestCause.workerEnded.rawValue] == 100 && counts.causes.reduce(0, +) == 100)
    #expect(counts.latencies[LatencyBuckets.bucket(microseconds: 1500)] == 1000)
    #expect(counts.duration == 1_500_000)
    #expect(counts.lastFailure == .init(cause: .workerEnded, at: 2_000_000))
    #expect(book.counts(of: rows[0]) == RequestCounts() && book.counts(of: rows[2]) == RequestCounts())
    #expect(book.children().map(\.answered) == [500, 500])
    #expect(book.children().allSatisfy { $0.inFlight.isEmpty })
  }

  @Test func whatIsInFlightIsSeenUntilItsChildHasGone() throws {
    let book = try #require(RequestBook(rows: 2, children: 2, threads: 2))
    defer { book.unmap() }
    let rows = try rows(of: book, 2)
    let seat = book.takeSeat(pid: 10, now: 5)
    let first = seat.begin(rows[0], key: 16, started: 7_000, unnamed)
    _ = seat.begin(rows[1], key: 32, started: 8_000, unnamed)
    let child = try #require(book.children().first)
    #expect(child.pid == 10 && child.started == 5)
    #expect(
      child.inFlight.sorted { $0.started < $1.started } == [nameless(slot: 0, started: 7_000), nameless(slot: 1, started: 8_000)])
    seat.end(first, status: 0, cause: .clientGone, microseconds: -1, now: 1, isEmbedded: false)
    #expect(book.children().first?.inFlight == [nameless(slot: 1, started: 8_000)])
    #expect(book.counts(of: rows[0]).statuses == [1, 0, 0, 0, 0, 0])
    book.vacate(pid: 99)
    #expect(book.children().count == 1)
    book.vacate(pid: 10)
    #expect(book.children().isEmpty)
    // What was counted stays.
    #expect(book.counts(of: rows[0]).total == 1)
    _ = book.takeSeat(pid: 12, now: 9)
    #expect(book.children() == [.init(pid: 12, started: 9, answered: 0, inFlight: [])])
  }

  @Test func withoutASeatOrAPlaceRequestsCountAllTheSame() throws {
    let book = try #require(RequestBook(rows: 1, children: 1, threads: 1))
    defer { book.unmap() }
    let rows = try rows(of: book, 1)
    let seat = book.takeSeat(pid: 10, now: 0)
    let standing = book.takeSeat(pid: 11, now: 0)
    let tickets = (0..<100).map { seat.begin(rows[0], key: UInt($0) << 4, started: 1_000, unnamed) }
    let other = standing.begin(rows[0], key: 1, started: 1_000, unnamed)
    #expect(book.children().first?.inFlight.count ?? 0 <= 16)
    for ticket in tickets { seat.end(ticket, status: 200, cause: nil, microseconds: 1, now: 1, isEmbedded: false) }
    standing.end(other, status: 200, cause: nil, microseconds: 1, now: 1, isEmbedded: false)
    #expect(book.counts(of: rows[0]).total == 101)
    #expect(book.children().first?.inFlight.isEmpty ?? false)
  }

  @Test func unknownStatusesAndTimesDoNoHarm() throws {
    let book = try #require(RequestBook(rows: 1, children: 1, threads: 1))
    defer { book.unmap() }
    let row = try #require(book.row(0))
    let seat = book.takeSeat(pid: 10, now: 0)
    for started in [Int64.min, .max] {
      let ticket = seat.begin(row, key: .max, started: started, unnamed)
      seat.end(ticket, status: 999, cause: .system, microseconds: .max, now: .max, isEmbedded: false)
    }
    #expect(book.counts(of: row).statuses == [2, 0, 0, 0, 0, 0])
  }

  /// Where the number of groups ends is said when one more is to be made.
  @Test func thereIsNoRowBehindTheLast() throws {
    let book = try #require(RequestBook(rows: 2, users: 1, children: 1))
    defer { book.unmap() }
    for slot in [-1, 2, .max] { #expect(book.row(slot).map(\.slot) == nil) }
    #expect(book.row(1, user: 0).map(\.slot) == 1)
    for user in [-1, 1] { #expect(book.row(1, user: user).map(\.slot) == nil) }
    for (rows, users, children) in [(0, 0, 1), (1, 2, 1), (1, 0, 0), (65536, 0, 1), (1, 0, .max)] {
      #expect(RequestBook(rows: rows, users: users, children: children).map(\.shares.capacity) == nil)
    }
  }

  @Test func everyCauseHasAPlaceAndAName() {
    #expect(RequestCause.allCases.map(\.rawValue) == Array(0..<16))
    #expect(Set(RequestCause.allCases.map(\.name)).count == 16)
    #expect(RequestCause.allCases.allSatisfy { !$0.sentence.isEmpty })
  }
}
