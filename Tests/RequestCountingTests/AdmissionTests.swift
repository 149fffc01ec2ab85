import Synchronization
import Testing

@testable import RequestCounting

@Suite struct AdmissionTests {
  @Test func theLimitHoldsOverAllChildren() throws {
    let book = try #require(RequestBook(rows: 2, children: 2))
    defer { book.unmap() }
    let rows = try rows(of: book, 2)
    let first = book.takeSeat(pid: 10)
    let second = book.takeSeat(pid: 11)
    let third = book.takeSeat(pid: 12)
    #expect(first.enter(rows[1], limit: 3) == nil)
    #expect(second.enter(rows[1], limit: 3) == nil)
    #expect(third.enter(rows[1], limit: 3) == nil)
    #expect(first.enter(rows[1], limit: 3) == .queueLimit)
    #expect(rows[1].inFlightNow == 3)
    #expect(rows[0].inFlightNow == 0)
    #expect(first.enter(rows[0], limit: 1) == nil)
    second.leave(rows[1])
    #expect(first.enter(rows[1], limit: 3) == nil)
  }

  @Test func whatADeadChildHadInFlightIsTakenOut() throws {
    let book = try #require(RequestBook(rows: 3, children: 2))
    defer { book.unmap() }
    let rows = try rows(of: book, 3)
    let dead = book.takeSeat(pid: 10)
    let alive = book.takeSeat(pid: 11)
    for slot in [0, 2, 2] { #expect(dead.enter(rows[slot], limit: 10) == nil) }
    #expect(alive.enter(rows[2], limit: 10) == nil)
    book.vacate(pid: 99)
    #expect(rows[2].inFlightNow == 3)
    book.vacate(pid: 10)
    #expect(rows.map(\.inFlightNow) == [0, 0, 1])
    // The seat is free for the next child.
    let next = book.takeSeat(pid: 12)
    #expect(next.enter(rows[0], limit: 10) == nil)
    book.vacate(pid: 12)
    #expect(rows[0].inFlightNow == 0)
  }

  /// What was taken back from a slot keeps no request of the group out; but where much is given up, the group does without slots
  /// until its own has gone.
  @Test func whatWasTakenBackFromSlotsIsBounded() throws {
    let book = try #require(RequestBook(rows: 2, children: 1))
    defer { book.unmap() }
    let rows = try rows(of: book, 2)
    let seat = book.takeSeat(pid: 1)
    for _ in 1..<book.mostGivenUp {
      seat.leaveInSlot(rows[0])
      #expect(seat.mayUseSlots(rows[0]) { .max })
    }
    seat.leaveInSlot(rows[0])
    #expect(!seat.mayUseSlots(rows[0]) { .max })
    // Others have no part in it, and nobody's requests are refused.
    #expect(seat.mayUseSlots(rows[1]) { 0 })
    #expect(seat.enter(rows[0], limit: 2) == nil && seat.enter(rows[1], limit: 2) == nil)
    // The next group in the place takes over what is in the queues.
    rows[0].forgetCounts()
    #expect(!seat.mayUseSlots(rows[0]) { book.mostGivenUp })
    #expect(seat.mayUseSlots(rows[0]) { book.mostGivenUp / 2 })
    #expect(seat.mayUseSlots(rows[0]) { 0 })
    #expect(book.givenUpOfAll.pointee.load(ordering: .relaxed) == 0)
  }

  @Test func manyRequestsInTheQueueAreQuickWhereOneEndsAllTheTime() throws {
    let book = try #require(RequestBook(rows: 2, children: 1))
    defer { book.unmap() }
    let seat = book.takeSeat(pid: 1)
    let (pace, other) = (seat.pace(try #require(book.row(0))), seat.pace(try #require(book.row(1))))
    #expect(pace.isQuick(limit: 14))
    for _ in 0..<50 { pace.note(100_000, now: 0) }
    #expect(pace.isQuick(limit: 350))
    #expect(!pace.isQuick(limit: 14))
    #expect(other.isQuick(limit: 14))
  }

  /// All who wait for a first import take as long as that; from then on a full group is quick again at once.
  @Test func aSlowStartIsSoonForgotten() throws {
    let book = try #require(RequestBook(rows: 1, children: 1))
    defer { book.unmap() }
    let pace = book.takeSeat(pid: 1).pace(try #require(book.row(0)))
    for _ in 0..<14 { pace.note(5_000_000, now: 0) }
    #expect(!pace.isQuick(limit: 14))
    for _ in 0..<8 { pace.note(1000, now: 0) }
    #expect(pace.isQuick(limit: 14))
    pace.note(100_000, now: 0)
    #expect(pace.isQuick(limit: 14))
  }
}
