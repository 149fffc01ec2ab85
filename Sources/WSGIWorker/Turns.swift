import CPosix
import Glibc
import Synchronization

/// Who waits on the queue: of all idle threads one, the leader.
///
/// A thread that has taken a request passes the turn to the idle thread that was busy last, whose stack and interpreter state are
/// still warm, or leaves it free; a thread that becomes idle takes a free turn. So threads do not contend for the queue, and
/// those that are not needed sleep.
final class Turns: @unchecked Sendable {
  // SAFETY: `state` guards what `idle` points to.
  private struct State {
    /// The thread that waits on the queue, and its handle; -1: none.
    var leader = -1
    var handle = pthread_t()
    var idleCount = 0
    /// Where requests come from: queues that were handed over, to be read to their end, and then the group's (-1: no more).
    var handed: [Int32] = []
    var queue: Int32

    var source: Int32 { handed.first ?? queue }
  }

  private let state: Mutex<State>
  private let idle: UnsafeMutablePointer<Int>
  private let called: [Wakeup]

  /// For `count` threads that take requests from `queue`.
  init(count: Int, queue: Int32) {
    state = Mutex(State(queue: queue))
    idle = UnsafeMutablePointer<Int>.allocate(capacity: max(count, 1))
    called = (0..<count).map { _ in Wakeup() }
  }

  deinit { idle.deallocate() }

  /// Waits for `thread`'s turn. The result is the descriptor to wait on; nil: no more requests are taken.
  func take(_ thread: Int) -> Int32? {
    let mustWait = state.withLock { state in
      if state.leader < 0 || state.source < 0 {
        if state.leader < 0 { lead(thread, &state) }
        return false
      }
      idle[state.idleCount] = thread
      state.idleCount += 1
      return true
    }
    if mustWait {
      while called[thread].value == 0 { called[thread].wait(while: 0) }
      called[thread].set(0, waking: 0)
      state.withLock { if $0.leader == thread { $0.handle = pthread_self() } }
    }
    return source(thread)
  }

  /// Where the leader goes on waiting; nil: nowhere, and the turn is given up.
  func source(_ thread: Int) -> Int32? {
    let (source, freed) = state.withLock { state -> (Int32, [Int]) in
      let source = state.source
      if source >= 0 { return (source, []) }
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

  /// The leader has a request: somebody else waits for the next.
  func pass(_ thread: Int) {
    let next = state.withLock { state in
      guard state.idleCount > 0 else {
        state.leader = -1
        return -1
      }
      state.idleCount -= 1
      state.leader = idle[state.idleCount]
      state.handle = pthread_t()
      return state.leader
    }
    if next >= 0 { called[next].set(1, waking: 1) }
  }

  // MARK: sources

  /// A further queue, to be read to its end before the group's.
  func add(_ handed: Int32) {
    state.withLock { $0.handed.append(handed) }
    interrupt()
  }

  /// A source has come to its end. True: it was the group's.
  func ended(_ source: Int32) -> Bool {
    state.withLock { state in
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
    state.withLock { $0.queue = -1 }
    interrupt()
  }

  /// No more requests are taken at all.
  func close() {
    state.withLock { state in
      state.queue = -1
      for descriptor in state.handed { Glibc.close(descriptor) }
      state.handed = []
    }
    interrupt()
  }

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
    return remains
  }

  private func lead(_ thread: Int, _ state: inout State) {
    state.leader = thread
    state.handle = pthread_self()
  }
}
