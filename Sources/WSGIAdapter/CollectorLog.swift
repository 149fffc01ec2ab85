import PythonRuntime
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

/// What the `gc` module says of an interpreter.
struct CollectorSnapshot {
  var interpreter: [UInt8]
  /// Counts, thresholds, collections, collected and uncollectable of three generations each; enabled; frozen objects.
  var numbers: [Int]
  static let count = 17
}

/// The latest runs of one interpreter's garbage collector. `collects` is called under its GIL, `drain` from any thread.
final class CollectorLog: Sendable {
  private struct State {
    var events: [CollectorEvent] = []
    var dropped: UInt64 = 0
    var start: Int64 = 0
    var startMonotonic: UInt64 = 0
  }

  static let capacity = 256
  private let state = Mutex(State())

  /// The `gc.callbacks` entry: `phase` is "start" or "stop".
  func collects(_ phase: PyObj, _ info: PyObj) throws(Raised) {
    guard phase.text == "stop" else {
      state.withLock { state in
        state.start = Clock.epoch()
        state.startMonotonic = Clock.monotonic()
      }
      return
    }
    let now = Clock.monotonic()
    func number(_ key: StaticString) throws(Raised) -> Int {
      guard info.isDict, let value = try info.item(key) else { return 0 }
      return try value.int()
    }
    let (generation, collected, uncollectable) = (
      try number("generation"), try number("collected"), try number("uncollectable")
    )
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

extension InterpreterContents {
  /// The collector's numbers now; nil where `gc` does not work as it should. Attached.
  func collectorSnapshot() -> CollectorSnapshot? {
    do throws(Raised) {
      let list = try function("collector_snapshot").call()
      let object = list.object
      guard object.isList, object.listCount == CollectorSnapshot.count else { return nil }
      var numbers: [Int] = []
      for index in 0..<object.listCount { numbers.append(try object.listItem(index).int()) }
      return CollectorSnapshot(interpreter: interpreter.name, numbers: numbers)
    } catch {
      PythonException.clear()
      return nil
    }
  }

  /// sys.getswitchinterval(), in seconds. Attached.
  var switchInterval: Double? {
    do throws(Raised) {
      guard let function = PythonCode.sys("getswitchinterval") else { return nil }
      let value = try function.call()
      return try value.object.double()
    } catch {
      PythonException.clear()
      return nil
    }
  }
}
