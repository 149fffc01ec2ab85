import CPosix
import Glibc
import Synchronization

/// Who waits on the queue: of all idle threads one, the leader.
///
/// A thread that has taken a request passes the lead to the idle thread that was busy last, whose stack and interpreter state are
/// still warm, or leaves it free; a thread that becomes idle takes a free lead. So threads do not contend for the queue, and
/// those that are not needed sleep.
///
/// Where requests are short and do not wait (`GILContention`), the thread that ran one is back before another would have woken up
/// and contended with it for the GIL. Then the lead is held for it, and the understudy, a thread that does nothing else, passes
/// the lead on if it does not come back within a millisecond.
///
/// While a request of this process waits for the GIL, another would only wait behind it, when another process of the group could
/// run it: the lead is withheld from all until that request has the GIL.
final class LeaderElection: @unchecked Sendable {
  // SAFETY: `state` guards what `idle` points to.
  private struct State {
    /// The thread that waits on the queue, and its handle; -1: none.
    var leader = -1
    var handle = pthread_t()
    var idleCount = 0
    /// Where requests come from: queues that were handed over, to be read to their end, and then the group's (-1: no more).
    var source: Int32
    var handed: [Int32] = []
    var queue: Int32

    /// How often the lead was held, and whether it is.
    var holds: UInt64 = 0
    var isHeld = false
    /// The lead is withheld from all.
    var isWithheld = false
    var understudySleeps = false

    init(queue: Int32) {
      self.queue = queue
      source = queue
    }

    mutating func chooseSource() { source = handed.first ?? queue }
  }

  private let state: Mutex<State>
  private let idle: UnsafeMutablePointer<Int>
  private let called: [Wakeup]
  private let understudy = Wakeup()
  /// Requests that threads have taken and that wait for the GIL.
  private let waitingForGIL = Atomic<Int>(0)
  /// As `State.isWithheld`, to be read without the lock.
  private let isWithheld = Atomic<Bool>(false)
  private let sharesGIL: Bool
  /// Told whether the lead is withheld.
  private let withheld: @Sendable (Bool) -> Void

  /// How long the understudy sleeps at a time, in milliseconds, and how often without being needed before it sleeps for good.
  private static let tick: Int64 = 1
  private static let patience = 3

  /// For `count` threads that take requests from `queue`. `sharesGIL`: they contend for one GIL.
  init(count: Int, queue: Int32, sharesGIL: Bool = true, withheld: @escaping @Sendable (Bool) -> Void = { _ in }) {
    state = Mutex(State(queue: queue))
    self.sharesGIL = sharesGIL && count > 1
    self.withheld = withheld
    idle = UnsafeMutablePointer<Int>.allocate(capacity: max(count, 1))
    called = (0..<count).map { _ in Wakeup() }
    wsgi_posix_accept_interruptions()
  }

  deinit { idle.deallocate() }

  /// Waits until `thread` leads. The result is the descriptor to wait on; nil: no more requests are taken.
  func take(_ thread: Int) -> Int32? {
    let found = state.withLock { state -> Int32? in
      if state.source < 0 { return -1 }
      if state.leader < 0, !state.isWithheld {
        state.leader = thread
        state.handle = pthread_self()
        state.isHeld = false
        return state.source
      }
      idle[state.idleCount] = thread
      state.idleCount += 1
      return nil
    }
    if let found, found >= 0 { return found }
    if found == nil {
      while called[thread].value == 0 { called[thread].wait(while: 0) }
      called[thread].set(0, waking: 0)
      state.withLock { if $0.leader == thread { $0.handle = pthread_self() } }
    }
    return source(thread)
  }

  /// Where the leader goes on waiting; nil: nowhere, and the lead is given up.
  func source(_ thread: Int) -> Int32? {
    let (source, freed) = state.withLock { state -> (Int32, [Int]) in
      if state.source >= 0 { return (state.source, []) }
      if state.leader == thread { state.leader = -1 }
      return (-1, takeIdle(&state))
    }
    for thread in freed { called[thread].set(1, waking: 1) }
    return source < 0 ? nil : source
  }

  /// Idle threads have nothing to wait for once there is no source.
  private func takeIdle(_ state: inout State) -> [Int] {
    defer { state.idleCount = 0 }
    return (0..<state.idleCount).map { idle[$0] }
  }

  /// The leader has a request: another thread waits for the next, at once or, if the lead is held, when it turns out to take
  /// long.
  func pass(_ thread: Int, holds: Bool) {
    let (next, wakes) = state.withLock { state -> (Int, Bool) in
      state.leader = -1
      if sharesGIL, withhold(&state) { return (-1, false) }
      guard holds, state.idleCount > 0 else { return (promote(&state), false) }
      state.isHeld = true
      state.holds &+= 1
      let wakes = state.understudySleeps
      state.understudySleeps = false
      return (-1, wakes)
    }
    if next >= 0 { called[next].set(1, waking: 1) }
    if wakes { understudy.set(1, waking: 1) }
  }

  /// Makes the thread that was busy last the leader. -1: none is idle, and the lead is free.
  private func promote(_ state: inout State) -> Int {
    state.isHeld = false
    if state.isWithheld { setWithheld(false, &state) }
    state.leader = -1
    guard state.idleCount > 0 else { return -1 }
    state.idleCount -= 1
    state.leader = idle[state.idleCount]
    state.handle = pthread_t()
    return state.leader
  }

  // MARK: the GIL

  /// A thread's request is about to ask for the GIL.
  @inline(__always)
  func asksForGIL() {
    if sharesGIL { waitingForGIL.add(1, ordering: .sequentiallyConsistent) }
  }

  /// It has it, waits for something else, or has ended.
  @inline(__always)
  func hasGIL() {
    guard sharesGIL else { return }
    waitingForGIL.subtract(1, ordering: .sequentiallyConsistent)
    if isWithheld.load(ordering: .sequentiallyConsistent) { passWithheld() }
  }

  /// Withholds the lead while a request waits for the GIL; false where none does.
  private func withhold(_ state: inout State) -> Bool {
    guard waitingForGIL.load(ordering: .relaxed) > 0 else { return false }
    setWithheld(true, &state)
    // The last may have got it before it could see this.
    if waitingForGIL.load(ordering: .sequentiallyConsistent) > 0 { return true }
    setWithheld(false, &state)
    return false
  }

  private func setWithheld(_ value: Bool, _ state: inout State) {
    state.isWithheld = value
    if value { state.isHeld = false }
    isWithheld.store(value, ordering: .sequentiallyConsistent)
    withheld(value)
  }

  @inline(never)
  private func passWithheld() {
    let next = state.withLock { state in
      state.isWithheld && waitingForGIL.load(ordering: .sequentiallyConsistent) <= 0 ? promote(&state) : -1
    }
    if next >= 0 { called[next].set(1, waking: 1) }
  }

  // MARK: understudy

  /// Passes on a lead that is held too long. Runs until no more requests are taken.
  func runUnderstudy() {
    var seen: UInt64 = 0
    var quiet = 0
    while true {
      let (next, mayStay) = state.withLock { state -> (Int, Bool) in
        if state.source < 0 { return (-1, false) }
        if state.isHeld, state.holds == seen {
          let isWithheld = sharesGIL && withhold(&state)
          return (isWithheld ? -1 : promote(&state), true)
        }
        quiet = state.holds == seen ? quiet + 1 : 0
        seen = state.holds
        state.understudySleeps = quiet > LeaderElection.patience
        return (-1, true)
      }
      if next >= 0 { called[next].set(1, waking: 1) }
      if !mayStay { return }
      if quiet > LeaderElection.patience {
        while understudy.value == 0 { understudy.wait(while: 0) }
        understudy.set(0, waking: 0)
        quiet = 0
      }
      understudy.wait(while: 0, milliseconds: LeaderElection.tick)
    }
  }

  // MARK: sources

  /// A further queue, to be read to its end before the group's.
  func add(_ handed: Int32) {
    state.withLock { state in
      state.handed.append(handed)
      state.chooseSource()
    }
    interrupt()
  }

  /// A source has come to its end. True: it was the group's.
  func ended(_ source: Int32) -> Bool {
    state.withLock { state in
      defer { state.chooseSource() }
      if state.handed.first == source {
        state.handed.removeFirst()
        Glibc.close(source)
        return false
      }
      state.queue = -1
      return true
    }
  }

  /// No more requests are taken from the group's queue.
  func leaveQueue() {
    state.withLock { state in
      state.queue = -1
      state.chooseSource()
    }
    interrupt()
  }

  /// No more requests are taken at all.
  func close() {
    state.withLock { state in
      state.queue = -1
      for descriptor in state.handed { Glibc.close(descriptor) }
      state.handed = []
      state.chooseSource()
    }
    interrupt()
  }

  /// How many threads wait for the lead.
  var waiting: Int { state.withLock { $0.idleCount } }

  /// Requests may still come.
  var isOpen: Bool { state.withLock { $0.source >= 0 } }

  /// Makes the leader look again where it waits, and if nowhere, sends every idle thread away. Waking a thread out of a system
  /// call that it is about to enter fails: true says that this may have to be repeated.
  @discardableResult
  func interrupt() -> Bool {
    let (remains, freed) = state.withLock { state -> (Bool, [Int]) in
      let freed = state.source < 0 ? takeIdle(&state) : []
      guard state.leader >= 0 else { return (false, freed) }
      if state.handle != pthread_t() { wsgi_posix_interrupt(state.handle) }
      return (state.source < 0, freed)
    }
    for thread in freed { called[thread].set(1, waking: 1) }
    if !isOpen { understudy.set(1) }
    return remains
  }
}
