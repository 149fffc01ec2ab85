import Synchronization

/// How many requests of a group ended of late, and how long they took: part of its row in the book, sixty intervals of ten
/// seconds.
///
/// The request that ends counts itself here. So no thread and no timer keeps the history, none of it depends on somebody having
/// looked at the page before, and a group without requests costs nothing; a busy one costs each of its requests two additions.
struct RequestHistory {
  /// In microseconds.
  static let interval: Int64 = 10_000_000
  static let intervals = 60
  /// Of each interval: which one it is with how many requests ended in it, and all their durations together in microseconds.
  private static let cell = 2
  static let words = intervals * cell

  /// The first word of a cell: its number in the upper bits, then the requests with a 5xx status, and all requests. Sums that
  /// flow over, past any rate that there is, only make the cell one of another time.
  private static let countBits = 24
  private static let failureBits = 20
  private static let numberShift = countBits + failureBits
  private static let numberMask = 0xF_FFFF

  // SAFETY: in the book's mapping, or never freed; only reached through atomics.
  let base: UnsafeMutablePointer<Atomic<Int>>

  @inline(__always)
  func note(now: Int64, microseconds: Int, hasFailed: Bool) {
    let time = Int(max(now, 0) / RequestHistory.interval)
    let cell = base + time % RequestHistory.intervals &* RequestHistory.cell
    let number = time & RequestHistory.numberMask
    let word = cell.pointee.load(ordering: .relaxed)
    if word >> RequestHistory.numberShift & RequestHistory.numberMask != number { begin(cell, word, number) }
    cell.pointee.wrappingAdd(hasFailed ? 1 << RequestHistory.countBits | 1 : 1, ordering: .relaxed)
    cell[1].wrappingAdd(microseconds, ordering: .relaxed)
  }

  /// The first request of an interval takes what was counted in an earlier one away.
  @inline(never)
  private func begin(_ cell: UnsafeMutablePointer<Atomic<Int>>, _ word: Int, _ number: Int) {
    let old = cell[1].load(ordering: .relaxed)
    guard
      cell.pointee.compareExchange(expected: word, desired: number << RequestHistory.numberShift, ordering: .relaxed).exchanged
    else { return }
    cell[1].wrappingSubtract(old, ordering: .relaxed)
  }

  /// The intervals until now, oldest first; the last is not over.
  func read(now: Int64) -> [RequestInterval] {
    let time = Int(max(now, 0) / RequestHistory.interval)
    return (0..<RequestHistory.intervals).map { index in
      let time = time &- (RequestHistory.intervals - 1 - index)
      guard time >= 0 else { return RequestInterval() }
      let cell = base + time % RequestHistory.intervals * RequestHistory.cell
      let word = cell.pointee.load(ordering: .relaxed)
      guard word >> RequestHistory.numberShift & RequestHistory.numberMask == time & RequestHistory.numberMask else {
        return RequestInterval()
      }
      return RequestInterval(
        ended: UInt64(word & (1 << RequestHistory.countBits - 1)),
        failed: UInt64(word >> RequestHistory.countBits & (1 << RequestHistory.failureBits - 1)),
        duration: UInt64(clamping: cell[1].load(ordering: .relaxed)))
    }
  }
}

/// The requests that ended within ten seconds.
public struct RequestInterval: Equatable, Sendable {
  public static let microseconds = RequestHistory.interval

  public var ended: UInt64
  /// With a 5xx status.
  public var failed: UInt64
  /// All their durations together, in microseconds.
  public var duration: UInt64

  public init(ended: UInt64 = 0, failed: UInt64 = 0, duration: UInt64 = 0) {
    self.ended = ended
    self.failed = failed
    self.duration = duration
  }

  /// In microseconds; nil: none ended.
  public var mean: UInt64? { ended > 0 ? duration / ended : nil }

  public static func + (one: RequestInterval, other: RequestInterval) -> RequestInterval {
    RequestInterval(ended: one.ended &+ other.ended, failed: one.failed &+ other.failed, duration: one.duration &+ other.duration)
  }
}
