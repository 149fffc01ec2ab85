import Glibc
import Synchronization
import Testing

@testable import WSGIWorker

@Suite struct TurnsTests {
  /// Threads that note when they get their turn, and wait then until they are told to go on.
  private final class Crowd: Sendable {
    let turns: Turns
    private let leaders = Mutex<[Int]>([])
    private let led = Wakeup()
    let ended = Wakeup()

    init(_ count: Int) {
      turns = Turns(count: count, queue: 7)
      for index in 0..<count { start(index) }
    }

    /// Waits for `thread`'s turn on a thread of its own.
    func start(_ index: Int) {
      let failure = WorkerThread.start("crowd", stackSize: 0) { [self] in
        let source = turns.take(index)
        if source != nil {
          leaders.withLock { $0.append(index) }
          led.add(1)
        } else {
          ended.add(1)
        }
      }
      #expect(failure == 0)
    }

    /// The thread that got the `number`th turn.
    func leader(_ number: Int) -> Int? {
      for _ in 0..<200 {
        let seen = led.value
        if let leader = leaders.withLock({ $0.count > number ? $0[number] : nil }) { return leader }
        led.wait(while: seen, milliseconds: 50)
      }
      return nil
    }

    /// Whether so many threads wait for their turn: one that was late would take a turn that is held.
    func haveCome(_ count: Int) -> Bool {
      for _ in 0..<10_000 where turns.waiting < count { usleep(1000) }
      return turns.waiting == count
    }

    func haveEnded(_ count: UInt32) -> Bool {
      for _ in 0..<200 where ended.value < count { ended.wait(while: ended.value, milliseconds: 50) }
      return ended.value == count
    }
  }

  @Test func oneThreadLeadsAndAllAreSentAway() throws {
    let crowd = Crowd(5)
    let first = try #require(crowd.leader(0))
    crowd.turns.pass(first, holds: false)
    let second = try #require(crowd.leader(1))
    #expect(second != first)
    crowd.turns.close()
    // The leader finds out when it looks again; the others are told.
    #expect(crowd.turns.source(second) == nil)
    #expect(crowd.haveEnded(3))
    #expect(crowd.turns.take(first) == nil)
    #expect(!crowd.turns.interrupt())
  }

  @Test func aTurnThatNobodyWaitsForIsFree() {
    let turns = Turns(count: 3, queue: 7)
    #expect(turns.take(0) == 7)
    turns.pass(0, holds: false)
    #expect(turns.take(1) == 7)
  }

  @Test func aTurnThatIsHeldIsThereForTheThreadThatComesBack() throws {
    let crowd = Crowd(3)
    let first = try #require(crowd.leader(0))
    #expect(crowd.haveCome(2))
    for _ in 0..<1000 {
      crowd.turns.pass(first, holds: true)
      #expect(crowd.turns.take(first) == 7)
    }
    // And passed on if it does not.
    #expect(WorkerThread.start("understudy", stackSize: 0) { crowd.turns.runUnderstudy() } == 0)
    crowd.turns.pass(first, holds: true)
    let second = try #require(crowd.leader(1))
    crowd.turns.pass(second, holds: true)
    #expect(try #require(crowd.leader(2)) != second)
    crowd.turns.close()
  }

  @Test func handedQueuesComeFirst() {
    let turns = Turns(count: 2, queue: 7)
    let (first, second) = (dup(0), dup(0))
    turns.add(first)
    turns.add(second)
    #expect(turns.take(0) == first)
    #expect(!turns.ended(first))
    #expect(turns.source(0) == second)
    turns.leaveQueue()
    #expect(turns.isOpen)
    #expect(!turns.ended(second))
    #expect(!turns.isOpen)
    #expect(turns.source(0) == nil)
  }
}

@Suite struct PaceTests {
  @Test func slowArrivalsAreNotBrisk() {
    let pace = Pace()
    #expect(!pace.isBrisk(now: 1000))
    #expect(pace.isBrisk(now: 1001))
    #expect(pace.isBrisk(now: 1003))
    #expect(!pace.isBrisk(now: 1006))
  }

  @Test func threadsWithoutACommonGILAreNotHeldBack() {
    let pace = Pace(holdsTurns: false)
    for now in Int64(1000)..<1010 { #expect(!pace.isBrisk(now: now)) }
  }

  @Test func requestsThatWaitEaseThePace() {
    let pace = Pace()
    _ = pace.isBrisk(now: 1000)
    pace.observe(waited: true, now: 1000)
    #expect(pace.isBrisk(now: 1000))
    pace.observe(waited: true, now: 1000)
    for now in Int64(1001)..<1500 { #expect(!pace.isBrisk(now: now)) }
    // Looked at again, one is enough, unless many did not wait.
    #expect(pace.isBrisk(now: 1500))
    pace.observe(waited: true, now: 1500)
    #expect(!pace.isBrisk(now: 1501))
    for now in Int64(1502)..<2000 { _ = pace.isBrisk(now: now) }
    for _ in 0..<100 { pace.observe(waited: false, now: 2000) }
    pace.observe(waited: true, now: 2000)
    #expect(pace.isBrisk(now: 2000))
  }
}
