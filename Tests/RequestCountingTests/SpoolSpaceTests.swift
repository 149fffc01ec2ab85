import Synchronization
import Testing

@testable import RequestCounting

/// The room that spools take, of a group and of all.
@Suite struct SpoolSpaceTests {
  private static let piece = SpoolSpace.piece

  @Test func roomIsTakenInPiecesAndGivenBack() throws {
    let book = try #require(RequestBook(rows: 2, children: 2))
    let (seat, row) = (book.takeSeat(pid: 1), try #require(book.row(1)))
    func taken() -> [Int] {
      [seat.spooled(row), row.spooled, book.spooledOfAll].map { $0.pointee.load(ordering: .relaxed) }
    }
    do {
      var space = SpoolSpace(seat, row, limit: 0)
      #expect(space.grow(to: 1) == nil && taken() == [SpoolSpaceTests.piece, SpoolSpaceTests.piece, SpoolSpaceTests.piece])
      #expect(space.grow(to: SpoolSpaceTests.piece) == nil && taken()[0] == SpoolSpaceTests.piece)
      #expect(space.grow(to: SpoolSpaceTests.piece + 1) == nil && taken()[2] == 2 * SpoolSpaceTests.piece)
      #expect(space.grow(to: .max) == .group)
    }
    #expect(taken() == [0, 0, 0])
  }

  @Test func theLimitOfTheGroupIsItsOwnAndTheOtherIsEverybodys() throws {
    let book = try #require(RequestBook(rows: 2, children: 2, spoolLimit: 3 * SpoolSpaceTests.piece))
    let (first, second) = (book.takeSeat(pid: 1), book.takeSeat(pid: 2))
    let rows = [try #require(book.row(0)), try #require(book.row(1))]
    var one = SpoolSpace(first, rows[0], limit: 2 * SpoolSpaceTests.piece)
    var two = SpoolSpace(second, rows[1], limit: 0)
    #expect(one.grow(to: 2 * SpoolSpaceTests.piece) == nil)
    // Another child's requests of the group count too.
    var other = SpoolSpace(second, rows[0], limit: 2 * SpoolSpaceTests.piece)
    #expect(other.grow(to: 1) == .group)
    #expect(two.grow(to: SpoolSpaceTests.piece) == nil)
    #expect(two.grow(to: SpoolSpaceTests.piece + 1) == .server)
    _ = consume one
    #expect(two.grow(to: 3 * SpoolSpaceTests.piece) == nil && other.grow(to: 1) == .server)
  }

  @Test func aChildThatDiesTakesItsRoomAlong() throws {
    let book = try #require(RequestBook(rows: 1, children: 2))
    let (dead, alive) = (book.takeSeat(pid: 1), book.takeSeat(pid: 2))
    let row = try #require(book.row(0))
    var lost = SpoolSpace(dead, row, limit: 0)
    var kept = SpoolSpace(alive, row, limit: 0)
    #expect(lost.grow(to: 5 * SpoolSpaceTests.piece) == nil && kept.grow(to: 1) == nil)
    // The group's figures are cleared for the next one, and this is not one of them.
    row.forgetCounts()
    book.vacate(pid: 1)
    #expect(row.spooled.pointee.load(ordering: .relaxed) == SpoolSpaceTests.piece)
    #expect(book.spooledOfAll.pointee.load(ordering: .relaxed) == SpoolSpaceTests.piece)
  }
}
