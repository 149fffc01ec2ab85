import Glibc
import Platform
import Synchronization
import Testing

@testable import WSGIWorker

@Suite struct LeaderElectionTests {
  /// Threads that note when they get their turn, and wait then until they are told to go on.
  private final class Crowd: Sendable {
    let election: LeaderElection
    private let leaders = Mutex<[Int]>([])
    private let led = Wakeup()
    let ended = Wakeup()

    init(_ count: Int, withheld: @escaping @Sendable (Bool) -> Void = { _ in }) {
      election = LeaderElection(count: count, queue: 7, withheld: withheld)
      for index in 0..<count { start(index) }
    }

    /// Waits for `thread`'s turn on a thread of its own.
    func start(_ index: Int) {
      let failure = DetachedThread.start(named: "crowd", takesSignals: true) { [self] in
        let source = election.take(index)
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
      for _ in 0..<1_200 {
        let seen = led.value
        if let leader = leaders.withLock({ $0.count > number ? $0[number] : nil }) { return leader }
        led.wait(while: seen, milliseconds: 50)
      }
      return nil
    }

    /// Whether so many threads wait for their turn: one that was late would take a turn that is held.
    func haveCome(_ count: Int) -> Bool {
      for _ in 0..<60_000 where election.waiting < count { usleep(1000) }
      return election.waiting == count
    }

    func haveEnded(_ count: UInt32) -> Bool {
      for _ in 0..<1_200 where ended.value < count { ended.wait(while: ended.value, milliseconds: 50) }
      return ended.value == count
    }
  }

  @Test func oneThreadLeadsAndAllAreSentAway() throws {
    let crowd = Crowd(5)
    let first = try #require(crowd.leader(0))
    crowd.election.pass(first, holds: false)
    let second = try #require(crowd.leader(1))
    #expect(second != first)
    crowd.election.close()
    // The leader finds out when it looks again; the others are told.
    #expect(crowd.election.source(second) == nil)
    #expect(crowd.haveEnded(3))
    #expect(crowd.election.take(first) == nil)
    #expect(!crowd.election.interrupt())
  }

  @Test func aTurnThatNobodyWaitsForIsFree() {
    let election = LeaderElection(count: 3, queue: 7)
    #expect(election.take(0) == 7)
    election.pass(0, holds: false)
    #expect(election.take(1) == 7)
  }

  @Test func aTurnThatIsHeldIsThereForTheThreadThatComesBack() throws {
    let crowd = Crowd(3)
    let first = try #require(crowd.leader(0))
    #expect(crowd.haveCome(2))
    for _ in 0..<1000 {
      crowd.election.pass(first, holds: true)
      #expect(crowd.election.take(first) == 7)
    }
    // And passed on if it does not.
    #expect(DetachedThread.start(named: "understudy", takesSignals: true) { crowd.election.runUnderstudy() } == 0)
    crowd.election.pass(first, holds: true)
    let second = try #require(crowd.leader(1))
    crowd.election.pass(second, holds: true)
    #expect(try #require(crowd.leader(2)) != second)
    crowd.election.close()
  }

  @Test func nobodyTakesARequestWhileAnotherWaitsForTheGIL() throws {
    let saturated = Wakeup()
    let crowd = Crowd(3) { saturated.set($0 ? 1 : 0) }
    let first = try #require(crowd.leader(0))
    #expect(crowd.haveCome(2))
    // Its request runs. The next one waits for the GIL, and a third thread, or one that comes back, would wait behind it.
    crowd.election.pass(first, holds: false)
    let second = try #require(crowd.leader(1))
    crowd.election.pass(second, holds: false)
    let third = try #require(crowd.leader(2))
    crowd.election.asksForGIL()
    crowd.election.pass(third, holds: false)
    crowd.start(first)
    #expect(crowd.haveCome(1))
    #expect(saturated.value == 1)
    crowd.election.hasGIL()
    #expect(crowd.leader(3) == first)
    #expect(saturated.value == 0)
    crowd.election.close()
  }

  @Test func threadsWithoutACommonGILAreNotWithheldFrom() {
    let election = LeaderElection(count: 2, queue: 7, sharesGIL: false)
    #expect(election.take(0) == 7)
    election.asksForGIL()
    election.pass(0, holds: false)
    #expect(election.take(1) == 7)
  }

  @Test func handedQueuesComeFirst() {
    let election = LeaderElection(count: 2, queue: 7)
    let (first, second) = (dup(0), dup(0))
    election.add(first)
    election.add(second)
    #expect(election.take(0) == first)
    #expect(!election.ended(first))
    #expect(election.source(0) == second)
    election.leaveQueue()
    #expect(election.isOpen)
    #expect(!election.ended(second))
    #expect(!election.isOpen)
    #expect(election.source(0) == nil)
  }
}

@Suite struct PaceTests {
  @Test func slowArrivalsAreNotBrisk() {
    let contention = GILContention()
    #expect(!contention.isBrisk(now: 1000))
    #expect(contention.isBrisk(now: 1001))
    #expect(contention.isBrisk(now: 1003))
    #expect(!contention.isBrisk(now: 1006))
  }

  @Test func threadsWithoutACommonGILAreNotHeldBack() {
    let contention = GILContention(holdsLead: false)
    for now in Int64(1000)..<1010 { #expect(!contention.isBrisk(now: now)) }
  }

  @Test func requestsThatWaitEaseThePace() {
    let contention = GILContention()
    _ = contention.isBrisk(now: 1000)
    contention.observe(waited: true, now: 1000)
    #expect(contention.isBrisk(now: 1000))
    contention.observe(waited: true, now: 1000)
    for now in Int64(1001)..<1500 { #expect(!contention.isBrisk(now: now)) }
    // Looked at again, one is enough, unless many did not wait.
    #expect(contention.isBrisk(now: 1500))
    contention.observe(waited: true, now: 1500)
    #expect(!contention.isBrisk(now: 1501))
    for now in Int64(1502)..<2000 { _ = contention.isBrisk(now: now) }
    for _ in 0..<100 { contention.observe(waited: false, now: 2000) }
    contention.observe(waited: true, now: 2000)
    #expect(contention.isBrisk(now: 2000))
  }
}
