import Platform
import Synchronization

/// One run of an interpreter's garbage collector.
struct CollectorEvent {
  /// Microseconds since the epoch.
  var start: Int64
  /// Nanoseconds.
  var duration: UInt64
  var generation: Int
  var collected: Int
  var uncollectable: Int
}

/// The `gc` statistics of an interpreter.
public struct CollectorSnapshot: Sendable {
  var interpreter: [UInt8]
  /// Counts, thresholds, collections, collected and uncollectable of three generations each; enabled; frozen objects.
  var numbers: [Int]
  public static let count = 17

  public init(interpreter: [UInt8], numbers: [Int]) {
    self.interpreter = interpreter
    self.numbers = numbers
  }
}

/// The latest runs of one interpreter's garbage collector. `begins` and `ended` are called under its GIL, `drain` from any
/// thread.
public final class CollectorLog: Sendable {
  private struct State {
    var events: [CollectorEvent] = []
    var dropped: UInt64 = 0
    var start: Int64 = 0
    var startMonotonic: UInt64 = 0
  }

  static let capacity = 256
  private let state = Mutex(State())

  public init() {}

  /// The collector begins.
  public func begins() {
    state.withLock { state in
      state.start = Clock.epochMicroseconds()
      state.startMonotonic = Clock.monotonicNanoseconds()
    }
  }

  /// The run that `begins` was told of has ended.
  public func ended(generation: Int, collected: Int, uncollectable: Int) {
    let now = Clock.monotonicNanoseconds()
    state.withLock { state in
      guard state.start != 0 else { return }
      let event = CollectorEvent(
        start: state.start, duration: now &- min(now, state.startMonotonic), generation: generation, collected: collected,
        uncollectable: uncollectable)
      if state.events.count == CollectorLog.capacity {
        state.events.removeFirst()
        state.dropped &+= 1
      }
      state.events.append(event)
    }
  }

  /// Takes the events out, oldest first and no more than `limit`.
  func drain(limit: Int) -> [CollectorEvent] {
    state.withLock { state in
      let events = Array(state.events.prefix(limit))
      state.events.removeFirst(events.count)
      return events
    }
  }

  /// How many events have been lost since the last time that this was asked.
  func takeDropped() -> UInt64 {
    state.withLock { state in
      defer { state.dropped = 0 }
      return state.dropped
    }
  }
}
