import Glibc
import Synchronization

/// How many requests of each process group are in flight, over all httpd children: queued, or with a worker.
///
/// A mapping shared by the parent and the children it forks. Each child has a seat, named by its process id, that holds its own
/// share of every count, so that what a child was doing when it died can be subtracted. Children write here, so whoever reads as
/// root believes no number: it only adds and subtracts them, and every index comes from the caller's own memory.
public struct QueueLedger: @unchecked Sendable {
  // SAFETY: the mapping is made once, never moves, and is only reached through atomics.
  private let base: UnsafeMutableRawPointer
  public let groups: Int
  public let seats: Int

  fileprivate typealias Count = Atomic<Int32>
  /// Counts of different groups are far apart: children of several processors change them with every request.
  private static let line = 64

  /// Makes a ledger for `groups` process groups and up to `seats` children at a time; nil when there is no memory for it.
  public init?(groups: Int, seats: Int) {
    guard groups > 0, seats > 0, groups <= 65536, seats <= 65536 else { return nil }
    let bytes = QueueLedger.size(groups: groups, seats: seats)
    let mapping = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
    guard let mapping, mapping != MAP_FAILED else { return nil }
    // Zeroed pages are valid: Atomic<Int32> is its integer and nothing else.
    base = mapping
    self.groups = groups
    self.seats = seats
  }

  /// Gives the mapping back. Nothing may use the ledger, or a copy of it, in this process afterwards.
  public func unmap() { _ = munmap(base, QueueLedger.size(groups: groups, seats: seats)) }

  private static func stride(groups: Int) -> Int { (4 + groups * 4 + line - 1) / line * line }
  private static func size(groups: Int, seats: Int) -> Int { groups * line + seats * stride(groups: groups) }

  @inline(__always)
  private func count(at offset: Int) -> UnsafeMutablePointer<Count> {
    (base + offset).assumingMemoryBound(to: Count.self)
  }

  @inline(__always)
  fileprivate func total(_ group: Int) -> UnsafeMutablePointer<Count> { count(at: group * QueueLedger.line) }

  private func owner(_ seat: Int) -> UnsafeMutablePointer<Count> {
    count(at: groups * QueueLedger.line + seat * QueueLedger.stride(groups: groups))
  }

  @inline(__always)
  fileprivate func share(_ seat: Int, _ group: Int) -> UnsafeMutablePointer<Count> {
    count(at: groups * QueueLedger.line + seat * QueueLedger.stride(groups: groups) + 4 + group * 4)
  }

  /// Requests of a group in flight now.
  public func inFlight(_ group: Int) -> Int {
    guard (0..<groups).contains(group) else { return 0 }
    return max(0, Int(total(group).pointee.load(ordering: .relaxed)))
  }

  /// Takes a seat for the process `pid`, at the start of an httpd child. Without a free one its requests are counted too, but
  /// stay counted if it dies with them.
  public func takeSeat(pid: Int32) -> LedgerSeat {
    for seat in 0..<seats {
      let (taken, _) = owner(seat).pointee.compareExchange(expected: 0, desired: pid, ordering: .acquiringAndReleasing)
      if taken { return LedgerSeat(ledger: self, index: seat) }
    }
    return LedgerSeat(ledger: self, index: -1)  // more children than were thought of
  }

  /// Frees the seat of a process that has ended and takes what it had in flight out of the counts. In the parent or in a
  /// child, for a process that is known to be gone; a pid without a seat is nothing to do.
  public func reclaim(pid: Int32) {
    guard pid > 0 else { return }
    for seat in 0..<seats where owner(seat).pointee.load(ordering: .acquiring) == pid {
      for group in 0..<groups {
        let left = share(seat, group).pointee.exchange(0, ordering: .acquiringAndReleasing)
        if left > 0 { total(group).pointee.wrappingSubtract(left, ordering: .relaxed) }
      }
      _ = owner(seat).pointee.compareExchange(expected: pid, desired: 0, ordering: .releasing)
      return
    }
  }
}

/// One httpd child's place in the ledger. Its functions may be called on any thread of that child.
public struct LedgerSeat: Sendable {
  private let ledger: QueueLedger
  let index: Int
  /// How long requests of each group take, as this child has seen of late.
  private let pace: RequestPace
  private let threads = ThreadCount()

  private final class ThreadCount: Sendable { let value = Atomic<Int>(0) }

  /// A number for another thread of this child, from 0.
  func countThread() -> Int { threads.value.wrappingAdd(1, ordering: .relaxed).oldValue }

  fileprivate init(ledger: QueueLedger, index: Int) {
    self.ledger = ledger
    self.index = index
    pace = RequestPace(groups: ledger.groups)
  }

  /// Counts a request in as `enter` does. Where too many are in flight but requests of the group end all the time, there will
  /// be room in no time: that is waited for, since a refusal would cost everybody more. A group that is held up has its refusal
  /// at once, and keeps no thread of httpd's from others.
  func enterWithPatience(_ group: Int, limit: Int32) -> Bool {
    if enter(group, limit: limit) { return true }
    guard pace.isQuick(group, limit: limit) else { return false }
    let deadline = monotonicMilliseconds() &+ RequestPace.patience
    repeat {
      usleep(500)
      if enter(group, limit: limit) { return true }
    } while monotonicMilliseconds() < deadline
    return false
  }

  /// A request that was counted in has ended after so many microseconds.
  @inline(__always)
  func leave(_ group: Int, after microseconds: Int64) {
    pace.note(group, microseconds)
    leave(group)
  }

  /// Counts a request in, unless `limit` are in flight already. True: `leave` must follow.
  @inline(__always)
  public func enter(_ group: Int, limit: Int32) -> Bool {
    guard group >= 0, group < ledger.groups else { return true }
    // The child's share first: a child that dies between the two leaves a count too low for one request rather than too high
    // for ever.
    if index >= 0 { ledger.share(index, group).pointee.wrappingAdd(1, ordering: .relaxed) }
    let before = ledger.total(group).pointee.wrappingAdd(1, ordering: .relaxed).oldValue
    if before < limit { return true }
    leave(group)
    return false
  }

  @inline(__always)
  public func leave(_ group: Int) {
    guard group >= 0, group < ledger.groups else { return }
    ledger.total(group).pointee.wrappingSubtract(1, ordering: .relaxed)
    if index >= 0 { ledger.share(index, group).pointee.wrappingSubtract(1, ordering: .relaxed) }
  }
}

/// About how long requests take, for each group; of one httpd child.
///
/// Threads write it without regard to each other: a sample that is lost now and then changes nothing.
final class RequestPace: @unchecked Sendable {  // atomics only
  /// A full group is quick where one of its requests ends that often, in microseconds.
  private static let quick: Int64 = 2000
  /// How long a request waits for room in a quick group, in milliseconds.
  static let patience: Int64 = 100

  private let means: UnsafeMutablePointer<Atomic<Int64>>
  private let groups: Int

  init(groups: Int) {
    self.groups = groups
    means = .allocate(capacity: groups)
    for group in 0..<groups { (means + group).initialize(to: Atomic(0)) }
  }

  deinit {
    means.deinitialize(count: groups)
    means.deallocate()
  }

  /// Whether room in a group that has `limit` requests in flight comes soon. How long they take includes their turn in the
  /// queue: of many, one ends all the time.
  func isQuick(_ group: Int, limit: Int32) -> Bool {
    group >= 0 && group < groups
      && means[group].load(ordering: .relaxed) < RequestPace.quick &* Int64(max(limit, 1))
  }

  @inline(__always)
  func note(_ group: Int, _ microseconds: Int64) {
    guard group >= 0, group < groups else { return }
    let mean = means[group].load(ordering: .relaxed)
    let sample = min(max(microseconds, 0), 1 << 40)
    // Down sooner than up: requests that waited for a process to start, or for its first import, say nothing of those to come.
    means[group].store(mean &+ (sample &- mean) / (sample < mean ? 2 : 8), ordering: .relaxed)
  }
}
