import Testing
import WSGICore

@testable import WSGIStatus

struct RequestTallyTests {
  @Test func whatChildrenCountAddsUp() throws {
    let tally = try #require(RequestTally(groups: 3, seats: 4, threads: 2))
    defer { tally.unmap() }
    let seats = [tally.takeSeat(pid: 10, now: 5), tally.takeSeat(pid: 11, now: 6)]
    for number in 0..<1000 {
      let seat = seats[number % 2]
      let ticket = seat.begin(1, key: UInt(number) << 12, started: 1_000_000)
      let isFailure = number % 10 == 0
      seat.end(
        ticket, status: isFailure ? 502 : 200, cause: isFailure ? .workerEnded : nil, microseconds: 1500, now: 2_000_000,
        isEmbedded: true)
    }
    let counts = tally.counts(of: 1)
    #expect(counts.statuses == [0, 0, 900, 0, 0, 100])
    #expect(counts.causes[RequestCause.workerEnded.rawValue] == 100 && counts.causes.reduce(0, +) == 100)
    #expect(counts.latencies[LatencyBuckets.bucket(microseconds: 1500)] == 1000)
    #expect(counts.duration == 1_500_000)
    #expect(counts.lastFailure == .init(cause: .workerEnded, at: 2_000_000))
    #expect(tally.counts(of: 0) == RequestCounts() && tally.counts(of: 2) == RequestCounts())
    #expect(tally.children().map(\.answered) == [500, 500])
    #expect(tally.children().allSatisfy { $0.inFlight.isEmpty })
  }

  @Test func whatIsInFlightIsSeenUntilItsChildHasGone() throws {
    let tally = try #require(RequestTally(groups: 2, seats: 2, threads: 2))
    defer { tally.unmap() }
    let seat = tally.takeSeat(pid: 10, now: 5)
    let first = seat.begin(0, key: 16, started: 7_000)
    _ = seat.begin(1, key: 32, started: 8_000)
    let child = try #require(tally.children().first)
    #expect(child.pid == 10 && child.started == 5)
    #expect(
      child.inFlight.sorted { $0.started < $1.started } == [.init(group: 0, started: 7_000), .init(group: 1, started: 8_000)])
    seat.end(first, status: 0, cause: .clientGone, microseconds: -1, now: 1, isEmbedded: false)
    #expect(tally.children().first?.inFlight == [.init(group: 1, started: 8_000)])
    #expect(tally.counts(of: 0).statuses == [1, 0, 0, 0, 0, 0])
    tally.vacate(pid: 99)
    #expect(tally.children().count == 1)
    tally.vacate(pid: 10)
    #expect(tally.children().isEmpty)
    // What was counted stays.
    #expect(tally.counts(of: 0).total == 1)
    _ = tally.takeSeat(pid: 12, now: 9)
    #expect(tally.children() == [.init(pid: 12, started: 9, answered: 0, inFlight: [])])
  }

  @Test func withoutASeatOrAPlaceRequestsCountAllTheSame() throws {
    let tally = try #require(RequestTally(groups: 1, seats: 1, threads: 1))
    defer { tally.unmap() }
    let seat = tally.takeSeat(pid: 10, now: 0)
    let standing = tally.takeSeat(pid: 11, now: 0)
    let tickets = (0..<100).map { seat.begin(0, key: UInt($0) << 4, started: 1_000) }
    let other = standing.begin(0, key: 1, started: 1_000)
    #expect(tally.children().first?.inFlight.count ?? 0 <= 16)
    for ticket in tickets { seat.end(ticket, status: 200, cause: nil, microseconds: 1, now: 1, isEmbedded: false) }
    standing.end(other, status: 200, cause: nil, microseconds: 1, now: 1, isEmbedded: false)
    #expect(tally.counts(of: 0).total == 101)
    #expect(tally.children().first?.inFlight.isEmpty ?? false)
  }

  @Test func unknownGroupsAndStatusesDoNoHarm() throws {
    let tally = try #require(RequestTally(groups: 1, seats: 1, threads: 1))
    defer { tally.unmap() }
    let seat = tally.takeSeat(pid: 10, now: 0)
    for group in [-1, 1, .max] {
      let ticket = seat.begin(group, key: 0, started: .max)
      seat.end(ticket, status: 200, cause: nil, microseconds: 1, now: 1, isEmbedded: false)
    }
    let ticket = seat.begin(0, key: .max, started: .min)
    seat.end(ticket, status: 999, cause: .system, microseconds: .max, now: .max, isEmbedded: false)
    #expect(tally.counts(of: 0).statuses == [1, 0, 0, 0, 0, 0])
    #expect(tally.counts(of: 7) == RequestCounts())
    #expect(RequestTally(groups: 0, seats: 1, threads: 1) == nil)
  }

  @Test func everyCauseHasAPlaceAndAName() {
    #expect(RequestCause.allCases.map(\.rawValue) == Array(0..<16))
    #expect(Set(RequestCause.allCases.map(\.name)).count == 16)
    #expect(RequestCause.allCases.allSatisfy { !$0.sentence.isEmpty })
  }
}
