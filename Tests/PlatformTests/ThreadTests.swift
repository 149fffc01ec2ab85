import Glibc
import Platform
import Synchronization
import Testing

@Suite struct ThreadTests {
  @Test(arguments: [false, true]) func aThreadHasItsNameAndItsSignals(takesSignals: Bool) throws {
    let condition = Condition()
    let seen = Mutex<(name: String, isBlocked: Bool)?>(nil)
    // The thread that runs a test may have signals blocked itself.
    var before = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &before)
    let isBlockedHere = sigismember(&before, SIGUSR1) == 1
    let failure = DetachedThread.start(named: "a name", stackSize: 1 << 17, takesSignals: takesSignals) {
      var blocked = sigset_t()
      pthread_sigmask(SIG_BLOCK, nil, &blocked)
      var name = [UInt8](repeating: 0, count: 16)
      let file = open("/proc/thread-self/comm", O_RDONLY)
      let count = read(file, &name, 15)
      close(file)
      condition.lock()
      let text = String(decoding: name.prefix(max(count, 0)), as: UTF8.self)
      seen.withLock { $0 = (text, sigismember(&blocked, SIGUSR1) == 1) }
      condition.announce()
      condition.unlock()
    }
    #expect(failure == 0)
    condition.lock()
    while seen.withLock({ $0 == nil }), condition.wait(until: Clock.monotonicNanoseconds() + 60_000_000_000) {}
    condition.unlock()
    let found = try #require(seen.withLock { $0 })
    #expect(found.name == "a name\n" && found.isBlocked == (isBlockedHere || !takesSignals))
  }

  @Test func jobsRunOnOneThread() throws {
    let thread = JobThread()
    let first = try #require(thread.run(milliseconds: 60_000) { UInt(pthread_self()) })
    nonisolated(unsafe) var second: UInt = 0
    #expect(thread.run { second = UInt(pthread_self()) })
    #expect(first == second && first != UInt(pthread_self()))
  }

  @Test func aJobThatTakesTooLongGoesOn() {
    let thread = JobThread()
    let gate = RecursiveLock()
    let result = Atomic<Int>(0)
    gate.lock()
    let isDone: Bool? = thread.run(milliseconds: 1) {
      gate.lock()
      defer { gate.unlock() }
      result.store(1, ordering: .relaxed)
      return true
    }
    #expect(isDone == nil && !thread.isIdle)
    gate.unlock()
    thread.waitUntilIdle()
    #expect(thread.isIdle && result.load(ordering: .relaxed) == 1)
  }

  @Test func aRecursiveLockIsItsHoldersAlone() {
    let lock = RecursiveLock()
    lock.lock()
    #expect(lock.tryLock() && lock.lock(milliseconds: 0))
    let thread = JobThread()
    #expect(thread.run(milliseconds: 60_000) { lock.tryLock() || lock.lock(milliseconds: 1) } == false)
    for _ in 0..<3 { lock.unlock() }
    #expect(thread.run(milliseconds: 60_000) { lock.lock(milliseconds: 60_000) } == true)
  }

  @Test func aConditionWaitsNoLongerThanItsDeadline() {
    let condition = Condition()
    condition.lock()
    #expect(!condition.wait(until: 0) && !condition.wait(until: Clock.monotonicNanoseconds()))
    condition.unlock()
  }

  @Test func clocksAgree() {
    let (nanoseconds, microseconds) = (Clock.monotonicNanoseconds(), Clock.monotonicMicroseconds())
    let milliseconds = Clock.monotonicMilliseconds()
    #expect(nanoseconds / 1000 <= microseconds && microseconds / 1000 <= milliseconds)
    #expect(Clock.seconds(microseconds: 1_500_000) == 1.5 && Clock.epochMicroseconds() > 0)
  }
}
