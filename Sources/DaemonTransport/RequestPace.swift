import Synchronization

/// About how long requests take, for each group; of one httpd child.
///
/// Threads write it without regard to each other: a sample that is lost now and then changes nothing.
final class RequestPace: @unchecked Sendable {  // atomics only
  /// A full group is quick where one of its requests ends that often, in microseconds.
  private static let quick: Int64 = 2000
  /// How long a request waits for room in a quick group, in microseconds.
  private static let patience: Int64 = 100_000
  /// And how long where none of the group's requests ends: then something holds them up.
  private static let standstill: Int64 = 25_000

  private struct Group: ~Copyable {
    /// In microseconds.
    let mean = Atomic<Int64>(0)
    /// When a request ended last, and when one had waited for that in vain, in microseconds of the monotonic clock.
    let lastEnd = Atomic<Int64>(0)
    let stoodStill = Atomic<Int64>(0)
  }

  private let paces: UnsafeMutablePointer<Group>
  private let groups: Int

  init(groups: Int) {
    self.groups = groups
    paces = .allocate(capacity: groups)
    for group in 0..<groups { (paces + group).initialize(to: Group()) }
  }

  deinit {
    paces.deinitialize(count: groups)
    paces.deallocate()
  }

  /// Whether room in a group that has `limit` requests in flight comes soon. How long they take includes their turn in the
  /// queue: of many, one ends all the time.
  func isQuick(_ group: Int, limit: Int32) -> Bool {
    guard group >= 0, group < groups else { return false }
    return paces[group].mean.load(ordering: .relaxed) < RequestPace.quick &* Int64(max(limit, 1))
      && paces[group].lastEnd.load(ordering: .relaxed) >= paces[group].stoodStill.load(ordering: .relaxed)
  }

  /// Whether a request that has waited for room since `start` goes on waiting.
  func mayWait(_ group: Int, since start: Int64, now: Int64) -> Bool {
    guard group >= 0, group < groups, now &- start < RequestPace.patience else { return false }
    if now &- max(paces[group].lastEnd.load(ordering: .relaxed), start) < RequestPace.standstill { return true }
    paces[group].stoodStill.store(now, ordering: .relaxed)
    return false
  }

  @inline(__always)
  func note(_ group: Int, _ microseconds: Int64, now: Int64) {
    guard group >= 0, group < groups else { return }
    paces[group].lastEnd.store(now, ordering: .relaxed)
    let mean = paces[group].mean.load(ordering: .relaxed)
    let sample = min(max(microseconds, 0), 1 << 40)
    // Down sooner than up: requests that waited for a process to start, or for its first import, say nothing of those to come.
    paces[group].mean.store(mean &+ (sample &- mean) / (sample < mean ? 2 : 8), ordering: .relaxed)
  }
}
