import CPosix
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
  let shares: ThreadShares

  typealias Count = Atomic<Int32>
  /// Counts of different groups are far apart: children of several processors change them with every request.
  private static let line = 64

  /// Makes a ledger for `groups` process groups and up to `seats` children at a time; nil when there is no memory for it.
  public init?(groups: Int, seats: Int, shares: ThreadShares = ThreadShares()) {
    guard groups > 0, seats > 0, groups <= 65536, seats <= 65536, shares.userCount <= groups else { return nil }
    let bytes = QueueLedger.size(groups: groups, seats: seats, users: shares.userCount)
    let mapping = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
    guard let mapping, mapping != MAP_FAILED else { return nil }
    // Zeroed pages are valid: Atomic<Int32> is its integer and nothing else.
    base = mapping
    self.groups = groups
    self.seats = seats
    self.shares = shares
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    mostAbandoned = Int32(clamping: max(32, limit.rlim_cur / 4))
  }

  /// Gives the mapping back. Nothing may use the ledger, or a copy of it, in this process afterwards.
  public func unmap() { _ = munmap(base, QueueLedger.size(groups: groups, seats: seats, users: shares.userCount)) }

  private static func stride(groups: Int) -> Int { (4 + groups * 4 + line - 1) / line * line }
  private static func size(groups: Int, seats: Int, users: Int) -> Int {
    (groups + 1 + users) * line + seats * stride(groups: groups)
  }

  @inline(__always)
  private func count(at offset: Int) -> UnsafeMutablePointer<Count> {
    (base + offset).assumingMemoryBound(to: Count.self)
  }

  @inline(__always)
  func total(_ group: Int) -> UnsafeMutablePointer<Count> { count(at: group * QueueLedger.line) }

  /// Requests of a group that were given up and may still lie in its queue; behind the groups, those of all.
  func abandoned(_ group: Int) -> UnsafeMutablePointer<Count> { count(at: group * QueueLedger.line + 4) }

  /// So many given-up requests of all groups may lie in queues, each with a descriptor or two: the kernel lets a user have no
  /// more of them under way than one of its processes may have open.
  let mostAbandoned: Int32

  fileprivate var isClogged: Bool { abandoned(groups).pointee.load(ordering: .relaxed) >= mostAbandoned }

  /// Of all groups together, and then of those of each user that is counted; only where shares are those of the whole server.
  var sharesOfServer: SharedCounts { SharedCounts(all: total(groups), users: total(groups + 1), stride: QueueLedger.line / 4) }

  private func owner(_ seat: Int) -> UnsafeMutablePointer<Count> {
    count(at: (groups + 1 + shares.userCount) * QueueLedger.line + seat * QueueLedger.stride(groups: groups))
  }

  /// A seat's count of each group.
  fileprivate func counts(_ seat: Int) -> UnsafeMutablePointer<Count> { owner(seat) + 1 }

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
      if taken { return LedgerSeat(ledger: self, index: seat, counts: counts(seat)) }
    }
    // More children than were thought of.
    return LedgerSeat(ledger: self, index: -1, counts: SharedCounts.make(groups))
  }

  /// Frees the seat of a process that has ended and takes what it had in flight out of the counts. In the parent or in a
  /// child, for a process that is known to be gone; a pid without a seat is nothing to do.
  public func reclaim(pid: Int32) {
    guard pid > 0 else { return }
    for seat in 0..<seats where owner(seat).pointee.load(ordering: .acquiring) == pid {
      for group in 0..<groups {
        let left = counts(seat)[group].exchange(0, ordering: .acquiringAndReleasing)
        guard left > 0 else { continue }
        total(group).pointee.wrappingSubtract(left, ordering: .relaxed)
        if shares.reach == .server { sharesOfServer.subtract(left, user: shares.user(of: group)) }
      }
      _ = owner(seat).pointee.compareExchange(expected: pid, desired: 0, ordering: .releasing)
      return
    }
  }
}

/// Counts of all groups together, and of those of each user.
struct SharedCounts: @unchecked Sendable {
  // SAFETY: memory that is never freed while it is in use, and only reached through atomics.
  fileprivate let all: UnsafeMutablePointer<QueueLedger.Count>
  private let users: UnsafeMutablePointer<QueueLedger.Count>
  private let stride: Int

  fileprivate init(all: UnsafeMutablePointer<QueueLedger.Count>, users: UnsafeMutablePointer<QueueLedger.Count>, stride: Int) {
    self.all = all
    self.users = users
    self.stride = stride
  }

  /// In memory of this process alone, kept until it ends.
  fileprivate init(users: Int) {
    let counts = SharedCounts.make(1 + users)
    self.init(all: counts, users: counts + 1, stride: 1)
  }

  fileprivate static func make(_ count: Int) -> UnsafeMutablePointer<QueueLedger.Count> {
    let counts = UnsafeMutablePointer<QueueLedger.Count>.allocate(capacity: max(count, 1))
    for index in 0..<max(count, 1) { (counts + index).initialize(to: Atomic(0)) }
    return counts
  }

  @inline(__always)
  fileprivate func of(user: Int) -> UnsafeMutablePointer<QueueLedger.Count> { users + user &* stride }

  @inline(__always)
  fileprivate func subtract(_ count: Int32, user: Int?) {
    all.pointee.wrappingSubtract(count, ordering: .relaxed)
    if let user { of(user: user).pointee.wrappingSubtract(count, ordering: .relaxed) }
  }
}

/// Why a request was not counted in.
public enum Crowding: Equatable, Sendable {
  /// As many requests of the group are in flight as its queue-limit says, or an eighth less than httpd has threads.
  case queueLimit
  /// Requests that were given up and still lie in the group's queue leave no room for more.
  case givenUp
  /// Other threads are kept for others.
  case threads(ThreadShares.Holder)
}

/// One httpd child's place in the ledger. Its functions may be called on any thread of that child.
public final class LedgerSeat: @unchecked Sendable {
  private let ledger: QueueLedger
  let index: Int
  // SAFETY: in the ledger's mapping, or never freed; only reached through atomics.
  /// How many requests of each group this child has in flight.
  private let counts: UnsafeMutablePointer<QueueLedger.Count>
  private let sharedCounts: SharedCounts
  /// How long requests of each group take, as this child has seen of late.
  private let pace: RequestPace
  private let threads = Atomic<Int>(0)

  /// A number for another thread of this child, from 0.
  func countThread() -> Int { threads.wrappingAdd(1, ordering: .relaxed).oldValue }

  fileprivate init(ledger: QueueLedger, index: Int, counts: UnsafeMutablePointer<QueueLedger.Count>) {
    self.ledger = ledger
    self.index = index
    self.counts = counts
    sharedCounts = ledger.shares.reach == .server ? ledger.sharesOfServer : SharedCounts(users: ledger.shares.userCount)
    pace = RequestPace(groups: ledger.groups)
  }

  /// Counts a request in as `enter` does. Where too many are in flight but requests of the group end all the time, there will
  /// be room in no time: that is waited for, since a refusal would cost everybody more. A group that is held up has its refusal
  /// at once, and keeps no thread of httpd's from others.
  func enterWithPatience(_ group: Int, limit: Int32, queue: Int32 = -1) -> Crowding? {
    if group >= 0, group < ledger.groups, ledger.abandoned(group).pointee.load(ordering: .relaxed) > 0 { reckon(group, queue) }
    guard let crowding = enter(group, limit: limit) else { return nil }
    let crowd = crowding == .queueLimit ? limit : counts[group].load(ordering: .relaxed)
    guard pace.isQuick(group, limit: crowd) else { return crowding }
    let start = monotonicMicroseconds()
    while true {
      usleep(500)
      guard let crowding = enter(group, limit: limit) else { return nil }
      if !pace.mayWait(group, since: start, now: monotonicMicroseconds()) { return crowding }
    }
  }

  /// A request that was counted in at `start` has ended; microseconds of the monotonic clock.
  @inline(__always)
  func leave(_ group: Int, start: Int64, now: Int64) {
    pace.note(group, now &- start, now: now)
    leave(group)
  }

  /// Counts a request in; the result is why not. nil: `leave` must follow.
  @inline(__always)
  public func enter(_ group: Int, limit: Int32) -> Crowding? {
    guard group >= 0, group < ledger.groups else { return nil }
    // The child's share first: a child that dies between the two leaves a count too low for one request rather than too high
    // for ever.
    let own = counts[group].wrappingAdd(1, ordering: .relaxed).oldValue
    let before = ledger.total(group).pointee.wrappingAdd(1, ordering: .relaxed).oldValue
    let all = sharedCounts.all.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
    let user = ledger.shares.user(of: group).map { sharedCounts.of(user: $0).pointee.wrappingAdd(1, ordering: .relaxed).oldValue }
    // What was given up takes as much room as what is wanted, and where nothing leaves the queue more and more of it.
    let left = ledger.abandoned(group).pointee.load(ordering: .relaxed)
    let isClogged = left > 0 && (before >= limit &- left || ledger.isClogged)
    let holder = ledger.shares.refusal(group: ledger.shares.reach == .child ? own : before, user: user, all: all)
    if before < limit, !isClogged, holder == nil { return nil }
    leave(group)
    if before < limit, isClogged { return .givenUp }
    return before < limit ? holder.map { .threads($0) } : .queueLimit
  }

  /// A request was given up before it is known to have left the queue.
  @inline(never)
  func giveUp(_ group: Int) {
    guard group >= 0, group < ledger.groups else { return }
    ledger.abandoned(group).pointee.wrappingAdd(1, ordering: .relaxed)
    ledger.abandoned(ledger.groups).pointee.wrappingAdd(1, ordering: .relaxed)
  }

  /// Forgets as many given-up requests as the queue has no longer.
  @inline(never)
  private func reckon(_ group: Int, _ queue: Int32) {
    let possible = max(0, wsgi_posix_unread(queue)) / LedgerSeat.leastMessage
    let left = ledger.abandoned(group).pointee.load(ordering: .relaxed)
    guard left > possible else { return }
    let (isOurs, _) = ledger.abandoned(group).pointee.compareExchange(expected: left, desired: possible, ordering: .relaxed)
    if isOurs { ledger.abandoned(ledger.groups).pointee.wrappingSubtract(left &- possible, ordering: .relaxed) }
  }

  /// The least room that a message takes in a queue, with the kernel's bookkeeping.
  private static let leastMessage: Int32 = 512

  @inline(__always)
  public func leave(_ group: Int) {
    guard group >= 0, group < ledger.groups else { return }
    sharedCounts.subtract(1, user: ledger.shares.user(of: group))
    ledger.total(group).pointee.wrappingSubtract(1, ordering: .relaxed)
    counts[group].wrappingSubtract(1, ordering: .relaxed)
  }
}
