import ProcessSupervision
import Synchronization

/// Whether the process takes requests, finishes those it has, or ends. It only ever moves forward, and the first reason to end
/// is the one that is told.
final class Lifecycle: Sendable {
  enum Phase: UInt8 {
    case running
    case draining
    case stopping
  }

  private struct State {
    var phase = Phase.running
    var reason: ShutdownReason?
    /// In milliseconds of the monotonic clock; nil: requests may take as long as they like.
    var deadline: Int64?
  }

  private let state = Mutex(State())
  /// The phase again, for a look without the lock.
  private let hint = Atomic<UInt8>(0)

  @inline(__always) var isRunning: Bool { hint.load(ordering: .relaxed) == Phase.running.rawValue }
  var phase: Phase { state.withLock { $0.phase } }
  var reason: ShutdownReason { state.withLock { $0.reason ?? .shutdownSignal } }

  /// True: the process drains from now on; false: it does that already, or more.
  func beginDraining(_ reason: ShutdownReason, deadline: Int64?) -> Bool {
    state.withLock { state in
      guard state.phase == .running else { return false }
      state.phase = .draining
      state.reason = reason
      state.deadline = deadline
      hint.store(Phase.draining.rawValue, ordering: .relaxed)
      return true
    }
  }

  /// True: the process ends from now on; false: it does that already. The result's reason is the first.
  func beginStopping(_ reason: ShutdownReason) -> Bool {
    state.withLock { state in
      guard state.phase != .stopping else { return false }
      state.phase = .stopping
      state.reason = state.reason ?? reason
      hint.store(Phase.stopping.rawValue, ordering: .relaxed)
      return true
    }
  }

  /// The time for draining is over.
  func isOverdue(now: Int64) -> Bool {
    state.withLock { state in state.phase == .draining && state.deadline.map { now >= $0 } ?? false }
  }
}
