import Synchronization

/// A group's part of a child's seat: what the child has in flight of it, and about how long its requests take.
///
/// Threads write the latter without regard to each other: a sample that is lost now and then changes nothing.
public struct GroupPace: @unchecked Sendable {
  /// A full group is quick where one of its requests ends that often, in microseconds.
  private static let quick: Int64 = 2000
  /// How long a request waits for room in a quick group, in microseconds.
  private static let patience: Int64 = 100_000
  /// And how long where none of the group's requests ends: then something holds them up.
  private static let standstill: Int64 = 25_000

  /// In words.
  static let size = 4
  // SAFETY: part of a seat; only reached through atomics.
  let words: UnsafeMutablePointer<RequestBook.Word>

  var inFlight: UnsafeMutablePointer<RequestBook.Word> { words }
  /// Requests of the group that this child has in flight.
  public var inFlightNow: Int { inFlight.pointee.load(ordering: .relaxed) }
  /// In microseconds.
  private var mean: Int64 { Int64(words[1].load(ordering: .relaxed)) }
  /// When a request ended last, and when one had waited for that in vain, in microseconds of the monotonic clock.
  private var lastEnd: Int64 { Int64(words[2].load(ordering: .relaxed)) }
  private var stoodStill: Int64 { Int64(words[3].load(ordering: .relaxed)) }

  /// Whether room in a group that has `limit` requests in flight comes soon. How long they take includes their turn in the
  /// queue: of many, one ends all the time.
  public func isQuick(limit: Int) -> Bool { mean < GroupPace.quick &* Int64(max(limit, 1)) && lastEnd >= stoodStill }

  /// Whether a request that has waited for room since `start` goes on waiting.
  public func mayWait(since start: Int64, now: Int64) -> Bool {
    guard now &- start < GroupPace.patience else { return false }
    if now &- max(lastEnd, start) < GroupPace.standstill { return true }
    words[3].store(Int(now), ordering: .relaxed)
    return false
  }

  /// A request took so long.
  @inline(__always)
  public func note(_ microseconds: Int64, now: Int64) {
    words[2].store(Int(now), ordering: .relaxed)
    let mean = mean
    let sample = min(max(microseconds, 0), 1 << 40)
    // Down sooner than up: requests that waited for a process to start, or for its first import, say nothing of those to come.
    words[1].store(Int(mean &+ (sample &- mean) / (sample < mean ? 2 : 8)), ordering: .relaxed)
  }
}
