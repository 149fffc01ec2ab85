import Glibc
import Synchronization

/// The line in which requests stand for one GIL, so that they get it in the order in which they came.
///
/// CPython gives its GIL to any of the threads that wait for it, now and then to the same ones again and again. Here the first in
/// line alone waits for the GIL itself, beside threads that gave it up in the middle of their work; so it is never free while a
/// request could run. The others sleep until it is their turn.
final class GILLine: Sendable {
  /// A place in the line, of one thread; kept, as a thread stands in line again and again.
  final class Place: @unchecked Sendable {  // SAFETY: `next` is guarded by the line's lock
    private let turn = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    fileprivate var next: Place?

    init() { sem_init(turn, 0, 0) }

    deinit {
      sem_destroy(turn)
      turn.deallocate()
    }

    fileprivate func call() { sem_post(turn) }
    fileprivate func sleep() { while sem_wait(turn) != 0 {} }
  }

  private struct Sleepers {
    var first: Place?
    var last: Place?

    mutating func append(_ place: Place) {
      if let last { last.next = place } else { first = place }
      last = place
    }

    mutating func removeFirst() -> Place? {
      guard let place = first else { return nil }
      first = place.next
      place.next = nil
      if first == nil { last = nil }
      return place
    }
  }

  /// Nobody stands in line; one does, who waits for the GIL itself; others sleep behind that one.
  private static let empty = 0, first = 1, sleepers = 2
  private let state = Atomic<Int>(GILLine.empty)
  private let sleeping = Mutex(Sleepers())

  /// Waits until the thread may ask for the GIL. True: it is the first in line, and calls `leave` when it has it.
  @inline(__always)
  func enter(_ place: Place) -> Bool {
    if state.compareExchange(expected: GILLine.empty, desired: GILLine.first, ordering: .acquiring).exchanged { return true }
    return stand(place)
  }

  @inline(never)
  private func stand(_ place: Place) -> Bool {
    if Python.isForkedChild { return false }
    let sleeps = sleeping.withLock { sleepers -> Bool in
      while true {
        let found = state.load(ordering: .relaxed)
        let wanted = found == GILLine.empty ? GILLine.first : GILLine.sleepers
        if state.compareExchange(expected: found, desired: wanted, ordering: .acquiringAndReleasing).exchanged {
          if wanted == GILLine.sleepers { sleepers.append(place) }
          return wanted == GILLine.sleepers
        }
      }
    }
    if sleeps { place.sleep() }
    return true
  }

  /// The first in line has the GIL.
  @inline(__always)
  func leave() {
    if !state.compareExchange(expected: GILLine.first, desired: GILLine.empty, ordering: .releasing).exchanged { callNext() }
  }

  /// The number of threads that stand in line.
  var length: Int {
    sleeping.withLock { sleepers in
      var place = sleepers.first
      var count = 0
      while let next = place { (place, count) = (next.next, count + 1) }
      return count + (state.load(ordering: .relaxed) == GILLine.empty ? 0 : 1)
    }
  }

  @inline(never)
  private func callNext() {
    let next = sleeping.withLock { sleepers -> Place? in
      let next = sleepers.removeFirst()
      if sleepers.first == nil { state.store(GILLine.first, ordering: .relaxed) }
      return next
    }
    next?.call()
  }
}
