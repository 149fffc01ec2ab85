import Synchronization

/// The requests that run now: a place for each thread, which that thread writes and the monitor reads.
final class InFlight: @unchecked Sendable {
  // SAFETY: allocated once, freed never; only reached through atomics.
  struct Place: ~Copyable {
    /// Names the request; 0: none.
    let ticket = Atomic<UInt64>(0)
    /// When it was taken from the queue, in milliseconds of the monotonic clock.
    let since = Atomic<Int64>(0)
  }

  struct Request: Equatable {
    var ticket: UInt64
    var since: Int64
  }

  let count: Int
  private let places: UnsafeMutablePointer<Place>

  init(count: Int) {
    self.count = count
    places = UnsafeMutablePointer<Place>.allocate(capacity: max(count, 1))
    for index in 0..<count { (places + index).initialize(to: Place()) }
  }

  /// `thread` begins its `number`th request; the result is its ticket.
  @inline(__always)
  func begin(_ thread: Int, number: UInt64, now: Int64) -> UInt64 {
    let ticket = number &<< 16 | UInt64(thread &+ 1)
    places[thread].since.store(now, ordering: .relaxed)
    places[thread].ticket.store(ticket, ordering: .releasing)
    return ticket
  }

  @inline(__always)
  func end(_ thread: Int) { places[thread].ticket.store(0, ordering: .releasing) }

  var requests: [Request] {
    (0..<count).compactMap { index in
      let ticket = places[index].ticket.load(ordering: .acquiring)
      return ticket == 0 ? nil : Request(ticket: ticket, since: places[index].since.load(ordering: .relaxed))
    }
  }
}
