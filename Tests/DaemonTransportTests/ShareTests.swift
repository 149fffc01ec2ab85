import Glibc
import Synchronization
import Testing
import WSGICore

@testable import DaemonTransport

/// Has `group` take threads until it is refused: how many it got, and why no more.
private func fill(_ seat: LedgerSeat, _ group: Int) -> (Int, Crowding?) {
  for taken in 0..<10_000 {
    if let crowding = seat.enter(group, limit: .max) { return (taken, crowding) }
  }
  return (10_000, nil)
}

@Suite struct ShareTests {
  @Test func aSoleGroupLeavesAnEighthOfEachChild() throws {
    let shares = ThreadShares(children: 4, threads: 25, users: [33, nil])
    let ledger = try #require(QueueLedger(groups: 2, seats: 4, shares: shares))
    defer { ledger.unmap() }
    for pid: Int32 in 1...4 {
      let seat = ledger.takeSeat(pid: pid)
      #expect(fill(seat, 0) == (22, .threads(.allGroups)))
    }
    #expect(ledger.inFlight(0) == 88)
  }

  @Test func twoGroupsLeaveRoomForAThirdInEachChild() throws {
    let shares = ThreadShares(children: 4, threads: 25, users: [1, 2, 3])
    let ledger = try #require(QueueLedger(groups: 3, seats: 4, shares: shares))
    defer { ledger.unmap() }
    for pid: Int32 in 1...2 {
      let seat = ledger.takeSeat(pid: pid)
      let first = fill(seat, 0)
      let second = fill(seat, 1)
      #expect(first == (17, .threads(.group)) && second == (4, .threads(.group)))
      // What the first gives back goes to whoever has less.
      for _ in 0..<10 { seat.leave(0) }
      #expect(fill(seat, 1).0 == 8)
      #expect(seat.enter(0, limit: .max) == nil)
      #expect(seat.enter(2, limit: .max) == nil)
    }
  }

  @Test func theGroupsOfOneUserShareWhatOneUserMayHave() throws {
    let shares = ThreadShares(children: 1, threads: 100, users: [7, 7, 7, 7, 8])
    let ledger = try #require(QueueLedger(groups: 5, seats: 1, shares: shares))
    defer { ledger.unmap() }
    let seat = ledger.takeSeat(pid: 1)
    var taken = 0
    for group in 0..<4 {
      let (count, crowding) = fill(seat, group)
      taken += count
      if group > 0 { #expect(crowding == .threads(.user)) }
    }
    #expect(taken == 71)
    #expect(fill(seat, 4).0 > 10)
  }

  @Test func processesOfOneThreadShareAllTogether() throws {
    let shares = ThreadShares(children: 40, threads: 1, users: [1, 2, 3])
    let ledger = try #require(QueueLedger(groups: 3, seats: 40, shares: shares))
    defer { ledger.unmap() }
    let seats = (1...40).map { ledger.takeSeat(pid: $0) }
    var taken = [0, 0, 0]
    for seat in seats {
      for group in 0..<2 where seat.enter(group, limit: .max) == nil {
        taken[group] += 1
        break
      }
    }
    #expect(taken[0] == 27 && taken[1] > 0 && taken[0] + taken[1] < 35)
    #expect(seats[39].enter(2, limit: .max) == nil)
    // What a dead process had is free again.
    for pid: Int32 in 1...40 { ledger.reclaim(pid: pid) }
    #expect((0..<3).map(ledger.inFlight) == [0, 0, 0])
    let next = ledger.takeSeat(pid: 50)
    #expect(fill(next, 0).0 == 27)
  }

  @Test func aChildWithoutASeatSharesItsThreadsToo() throws {
    let shares = ThreadShares(children: 1, threads: 25, users: [1])
    let ledger = try #require(QueueLedger(groups: 1, seats: 1, shares: shares))
    defer { ledger.unmap() }
    _ = ledger.takeSeat(pid: 1)
    #expect(fill(ledger.takeSeat(pid: 2), 0) == (22, .threads(.allGroups)))
  }

  /// Who waits for room in a quick group that has come to a standstill would keep threads from others.
  @Test func nobodyWaitsForAGroupThatStandsStill() {
    let pace = RequestPace(groups: 1)
    pace.note(0, 1000, now: 1_000_000)
    #expect(pace.isQuick(0, limit: 4))
    #expect(pace.mayWait(0, since: 1_000_000, now: 1_020_000))
    pace.note(0, 1000, now: 1_020_000)
    #expect(pace.mayWait(0, since: 1_000_000, now: 1_040_000))
    #expect(!pace.mayWait(0, since: 1_000_000, now: 1_050_000))
    #expect(!pace.isQuick(0, limit: 4))
    pace.note(0, 1000, now: 1_060_000)
    #expect(pace.isQuick(0, limit: 4))
    #expect(!pace.mayWait(0, since: 960_000, now: 1_060_000))
  }

  /// Nobody waits for what was given up, but it lies in the queue, with its descriptors.
  @Test func givenUpRequestsCountUntilTheyLeaveTheQueue() throws {
    let ledger = try #require(QueueLedger(groups: 2, seats: 1))
    defer { ledger.unmap() }
    let seat = ledger.takeSeat(pid: 1)
    let queue = try RequestQueue(backlog: 100)
    let head = requestHead([])
    let channel = temporaryFile()
    defer { close(channel) }
    for _ in 0..<4 {
      #expect(seat.enterWithPatience(0, limit: 4, queue: queue.writeEnd.number) == nil)
      let sent = head.withUnsafeBytes { QueueWriter.pass($0, QueueEnvelope(), channel: channel, to: queue.writeEnd.number) }
      #expect(sent)
      seat.giveUp(0)
      seat.leave(0)
    }
    #expect(seat.enterWithPatience(0, limit: 4, queue: queue.writeEnd.number) == .givenUp)
    #expect(seat.enterWithPatience(1, limit: 4, queue: queue.writeEnd.number) == nil)
    var reader = QueueReader()
    for _ in 0..<4 {
      if let request = reader.next(queue.readEnd.number) { close(request.channel) }
    }
    #expect(seat.enterWithPatience(0, limit: 4, queue: queue.writeEnd.number) == nil)
    #expect(ledger.abandoned(0).pointee.load(ordering: .relaxed) == 0)
    #expect(ledger.abandoned(2).pointee.load(ordering: .relaxed) == 0)
  }
}

@Suite struct RefusalPaceTests {
  @Test func theFirstIsLoggedAndTheOthersAreCounted() {
    let pace = RefusalPace(groups: 2)
    #expect(pace.take(0, .queueLimit, now: 5) == 0)
    for now in 0..<40 as Range<Int64> { #expect(pace.take(0, .queueLimit, now: 5 + now) == nil) }
    #expect(pace.take(0, .queueLimit, now: 5 + RefusalPace.interval) == 40)
    #expect(pace.take(0, .queueLimit, now: 6 + RefusalPace.interval) == nil)
    #expect(pace.take(0, .queueLimit, now: 5 + 2 * RefusalPace.interval) == 1)
  }

  @Test func groupsAndReasonsAreToldApart() {
    let pace = RefusalPace(groups: 2)
    #expect(pace.take(0, .queueLimit, now: 5) == 0)
    #expect(pace.take(1, .queueLimit, now: 5) == 0)
    #expect(pace.take(1, .threads(.group), now: 5) == 0)
    #expect(pace.take(1, .threads(.user), now: 5) == nil)
    #expect(pace.take(2, .queueLimit, now: 5) == 0)
    #expect(pace.take(-7, .queueLimit, now: 5) == 0)
  }
}
