import Synchronization

/// Whether requests come quickly, and run without waiting for anything, so that one thread gets on faster than several that
/// contend for the GIL.
///
/// Some requests are looked at: did the thread give up its processor of its own accord (a sleep, a database, another thread's
/// lock)? Where more than very few do, threads take turns at once for a while; then it is looked again.
final class GILContention: Sendable {
  /// Requests that come this far apart, in milliseconds, are not quick; one thread more or less does not matter then.
  private static let gap: Int64 = 2
  /// One in this many requests of a thread is looked at. A power of two.
  static let sample: UInt64 = 4
  /// A request that waited outweighs this many that did not; it takes two in a row to change the verdict.
  private static let weight: Int32 = 64
  private static let limit: Int32 = 100
  /// How long threads then take turns at once, in milliseconds.
  private static let relief: Int64 = 500

  /// Threads that share no GIL do not contend for it.
  private let holdsLead: Bool
  private let lastArrival = Atomic<Int64>(0)
  private let waits = Atomic<Int32>(0)
  private let easyUntil = Atomic<Int64>(0)

  init(holdsLead: Bool = true) { self.holdsLead = holdsLead }

  /// A request has come. True: its thread will probably be back at once.
  @inline(__always)
  func isBrisk(now: Int64) -> Bool {
    guard holdsLead else { return false }
    let last = lastArrival.load(ordering: .relaxed)
    if last != now { lastArrival.store(now, ordering: .relaxed) }
    return now &- last <= GILContention.gap && now >= easyUntil.load(ordering: .relaxed)
  }

  /// A request that was looked at has ended.
  func observe(waited: Bool, now: Int64) {
    let held = waits.load(ordering: .relaxed)
    if waited {
      let next = held &+ GILContention.weight
      if next >= GILContention.limit {
        easyUntil.store(now &+ GILContention.relief, ordering: .relaxed)
        // The next look need not see two.
        waits.store(GILContention.limit &- GILContention.weight, ordering: .relaxed)
      } else {
        waits.store(next, ordering: .relaxed)
      }
    } else if held > 0 {
      waits.store(held &- 1, ordering: .relaxed)
    }
  }
}
