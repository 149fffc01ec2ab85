import Testing

@testable import RequestCounting

/// Has a group take threads until it is refused: how many it got, and why no more.
private func fill(_ seat: ChildSeat, _ row: RequestBook.Row) -> (Int, Crowding?) {
  for taken in 0..<10_000 {
    if let crowding = seat.enter(row, limit: .max) { return (taken, crowding) }
  }
  return (10_000, nil)
}

/// A book for groups of these users, one row each.
private func book(children: Int, threads: Int, users: [UInt32]) throws -> (RequestBook, [RequestBook.Row]) {
  let counted = CountedUsers(ofGroups: users)
  let shares = ThreadShares(children: children, threads: threads, hasOtherGroups: users.count > 1)
  let book = try #require(
    RequestBook(rows: users.count, users: counted.count, children: children, threads: threads, shares: shares))
  return (book, try users.enumerated().map { try #require(book.row($0.offset, user: counted[$0.element])) })
}

@Suite struct ShareTests {
  @Test func aSoleGroupLeavesAnEighthOfEachChild() throws {
    let (book, rows) = try book(children: 4, threads: 25, users: [33])
    defer { book.unmap() }
    for pid: Int32 in 1...4 {
      let seat = book.takeSeat(pid: pid)
      #expect(fill(seat, rows[0]) == (22, .threads(.allGroups)))
    }
    #expect(rows[0].inFlightNow == 88)
  }

  @Test func twoGroupsLeaveRoomForAThirdInEachChild() throws {
    let (book, rows) = try book(children: 4, threads: 25, users: [1, 2, 3])
    defer { book.unmap() }
    for pid: Int32 in 1...2 {
      let seat = book.takeSeat(pid: pid)
      let first = fill(seat, rows[0])
      let second = fill(seat, rows[1])
      #expect(first == (17, .threads(.group)) && second == (4, .threads(.group)))
      // What the first gives back goes to whoever has less.
      for _ in 0..<10 { seat.leave(rows[0]) }
      #expect(fill(seat, rows[1]).0 == 8)
      #expect(seat.enter(rows[0], limit: .max) == nil)
      #expect(seat.enter(rows[2], limit: .max) == nil)
    }
  }

  @Test func theGroupsOfOneUserShareWhatOneUserMayHave() throws {
    let (book, rows) = try book(children: 1, threads: 100, users: [7, 7, 7, 7, 8])
    defer { book.unmap() }
    let seat = book.takeSeat(pid: 1)
    var taken = 0
    for group in 0..<4 {
      let (count, crowding) = fill(seat, rows[group])
      taken += count
      if group > 0 { #expect(crowding == .threads(.user)) }
    }
    #expect(taken == 71)
    #expect(fill(seat, rows[4]).0 > 10)
  }

  @Test func processesOfOneThreadShareAllTogether() throws {
    let (book, rows) = try book(children: 40, threads: 1, users: [1, 2, 3])
    defer { book.unmap() }
    let seats = (1...40).map { book.takeSeat(pid: $0) }
    var taken = [0, 0, 0]
    for seat in seats {
      for group in 0..<2 where seat.enter(rows[group], limit: .max) == nil {
        taken[group] += 1
        break
      }
    }
    #expect(taken[0] == 27 && taken[1] > 0 && taken[0] + taken[1] < 35)
    #expect(seats[39].enter(rows[2], limit: .max) == nil)
    // What a dead process had is free again.
    for pid: Int32 in 1...40 { book.vacate(pid: pid) }
    #expect(rows.map(\.inFlightNow) == [0, 0, 0])
    let next = book.takeSeat(pid: 50)
    #expect(fill(next, rows[0]).0 == 27)
  }

  @Test func aChildWithoutASeatSharesItsThreadsToo() throws {
    let (book, rows) = try book(children: 1, threads: 25, users: [1])
    defer { book.unmap() }
    _ = book.takeSeat(pid: 1)
    #expect(fill(book.takeSeat(pid: 2), rows[0]) == (22, .threads(.allGroups)))
  }

  /// Who waits for room in a quick group that has come to a standstill would keep threads from others.
  @Test func nobodyWaitsForAGroupThatStandsStill() throws {
    let book = try #require(RequestBook(rows: 1, children: 1))
    defer { book.unmap() }
    let pace = book.takeSeat(pid: 1).pace(try #require(book.row(0)))
    pace.note(1000, now: 1_000_000)
    #expect(pace.isQuick(limit: 4))
    #expect(pace.mayWait(since: 1_000_000, now: 1_020_000))
    pace.note(1000, now: 1_020_000)
    #expect(pace.mayWait(since: 1_000_000, now: 1_040_000))
    #expect(!pace.mayWait(since: 1_000_000, now: 1_050_000))
    #expect(!pace.isQuick(limit: 4))
    pace.note(1000, now: 1_060_000)
    #expect(pace.isQuick(limit: 4))
    #expect(!pace.mayWait(since: 960_000, now: 1_060_000))
  }
}
