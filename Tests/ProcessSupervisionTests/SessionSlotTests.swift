import CPosix
import Glibc
import Platform
import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct SessionSlotTests {
  private func queue() throws -> RenewableQueue.Ends {
    var ends: [Int32] = [-1, -1]
    try #require(wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends) == 0)
    return (read: ends[1], write: ends[0])
  }

  @Test(arguments: [1, 4, SessionQueues.mostSlots])
  func keptQueuesAreReachedByTheirSlots(count: Int) throws {
    let kept = SessionQueues.keep(try (0..<count).map { _ in try queue() })
    try #require(kept >= 0)
    // Each who needs them copies them, and they are still there.
    for _ in 0..<3 {
      let writeEnds = SessionQueues.writeEnds(kept: kept)
      #expect(writeEnds.count == count)
      for slot in [0, count / 2, count - 1] {
        let readEnd = SessionQueues.readEnd(of: slot, kept: kept)
        var byte = UInt8(slot)
        #expect(send(writeEnds[slot], &byte, 1, 0) == 1)
        byte = 255
        #expect(recv(readEnd, &byte, 1, Int32(MSG_DONTWAIT)) == 1 && Int(byte) == slot)
        #expect(fcntl(readEnd, F_GETFD) == FD_CLOEXEC)
        close(readEnd)
      }
      for end in writeEnds { close(end) }
    }
    #expect(SessionQueues.readEnd(of: count, kept: kept) == -1 && SessionQueues.readEnd(of: -1, kept: kept) == -1)
    close(kept)
    #expect(SessionQueues.writeEnds(kept: -1).isEmpty)
  }

  @Test func whatIsKeptEndsWithIt() throws {
    let kept = SessionQueues.keep([try queue()])
    let writeEnd = try #require(SessionQueues.writeEnds(kept: kept).first)
    close(kept)
    wait("the queue to be left") { isLeft(writeEnd) }
    var byte: UInt8 = 0
    #expect(send(writeEnd, &byte, 1, Int32(MSG_NOSIGNAL)) == -1 && errno == EPIPE)
    close(writeEnd)
  }

  @Test func aBoardSaysWhoServesASlot() throws {
    let memory = try #require(ScoreboardMemory.make(processes: [4]))
    let board = try #require(memory.writer(0))
    func put(_ pid: Int32, _ state: WorkerState, session: Int, isNext: Bool = false, at slot: Int) {
      board[slot: slot] = .init(pid: pid, state: state.rawValue, session: session, isNext: isNext)
      #expect(board[slot: slot] == .init(pid: pid, state: state.rawValue, session: session, isNext: isNext))
    }
    put(10, .ready, session: 0, at: 0)
    put(11, .starting, session: 1, at: 1)
    put(12, .draining, session: 2, at: 2)
    put(13, .candidate, session: 3, at: 3)
    put(14, .ready, session: -1, at: 4)
    put(Int32.max, .ready, session: 125, at: 5)
    #expect((0..<4).map { board.serves(session: $0) } == [true, true, false, false] && board.serves(session: 125))
    var ready: [Int] = []
    board.forEachServingSession { ready.append($0) }
    #expect(ready == [0, 125])
    #expect([10, 11, 12, 13, 14, 15, 0].map { board.session(of: $0) } == [0, 1, 2, 3, nil, nil, nil])
    #expect(board.session(of: UInt32(Int32.max)) == 125)
    put(13, .candidate, session: 3, isNext: true, at: 3)
    #expect(board.serves(session: 3))
    #expect(board.processes.map(\.state) == [.ready, .starting, .draining, .candidate, .ready, .ready])
    board[slot: 0] = .init()
    #expect(!board.serves(session: 0) && board.session(of: 10) == nil)
  }

  // MARK: supervision

  /// The processes that take requests, by their slots.
  private func holders(_ it: SupervisionCase) -> [Int: Int32] {
    var found: [Int: Int32] = [:]
    for slot in it.board().slots where slot.pid > 0 && slot.state == WorkerState.ready.rawValue { found[slot.session] = slot.pid }
    return found
  }

  @Test func whoComesInThePlaceOfAProcessHasItsSlot() throws {
    var group = SupervisionCase.Group("g", "serve", processes: 3)
    group.isSticky = true
    let it = try SupervisionCase([group])
    wait("ready") { holders(it).count == 3 }
    #expect(Set(holders(it).keys) == [0, 1, 2])
    for slot in [1, 0, 2] {
      let before = holders(it)
      let victim = try #require(before[slot])
      #expect(link("/proc/\(victim)/fd/9").hasPrefix("socket:"))
      kill(victim, SIGKILL)
      wait("the replacement") { it.isServed(by: 3, without: [victim]) }
      for other in 0..<3 where other != slot { #expect(holders(it)[other] == before[other]) }
    }
    it.finish()
  }

  @Test func candidatesHaveTheSlotsOfThoseWhoMakeRoom() throws {
    var group = SupervisionCase.Group("g", "serve", processes: 3)
    group.isSticky = true
    let it = try SupervisionCase([group])
    wait("ready") { holders(it).count == 3 }
    let old = Set(holders(it).values)
    let answer = it.scratch.file("answer")
    it.send("changed /srv/a.wsgi \(answer)")
    wait("the answer") { contents(answer) != nil }
    wait("three new ones") { it.isServed(by: 3, without: Array(old)) && it.pids().count == 3 }
    #expect(Set(holders(it).keys) == [0, 1, 2])
    it.finish()
  }

  @Test func aGroupWithoutSlotsHasNone() throws {
    let it = try SupervisionCase([.init("g", "serve", processes: 2)])
    wait("ready") { it.ready() == 2 }
    #expect(it.board().slots.allSatisfy { $0.session == -1 })
    for pid in it.pids() { #expect(link("/proc/\(pid)/fd/9") == "/dev/null") }
    it.finish()
  }
}
