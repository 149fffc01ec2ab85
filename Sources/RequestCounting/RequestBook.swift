import Glibc
import Platform
import Synchronization

/// The requests of httpd's children: how many of each process group are in flight, queued or running, and how those that ended
/// were answered. Admission to a group and the status page both read it.
///
/// One mapping of fixed size, shared by the parent that makes it and the children that it forks. It has a row for each process
/// group and one for embedded mode, and a seat for each child, named by its process id, with the child's own share of every
/// count, so that what a child was doing when it died can be subtracted. Children write here; the parent, which may be root,
/// only adds and subtracts, and believes no number.
///
/// A row is taken by its slot. A group that comes later takes a free one; how many there can be at a time is fixed when the
/// mapping is made, and `row` says where that bound is.
public struct RequestBook: @unchecked Sendable {
  /// Zeroed pages are valid words: Atomic<Int> is its integer and nothing else.
  typealias Word = Atomic<Int>

  // SAFETY: the mapping is made once, never moves, and is only reached through atomics.
  private let memory: SharedMemory
  private var base: UnsafeMutablePointer<Word> { memory.start.assumingMemoryBound(to: Word.self) }
  let layout: Layout
  let shares: ThreadShares
  /// The most bytes in files of spools of all groups; 0: no limit.
  let spoolLimit: Int

  /// The most rows, and the most children at a time.
  static let limit = 65535

  /// Where things lie, in words.
  struct Layout: Sendable {
    /// Counts that threads of different processors change with every request are a cache line apart.
    static let line = 8
    let rows: Int
    let users: Int
    let children: Int
    /// A power of two: places for requests in flight of each child.
    let places: Int

    /// The first line has what all groups have together: requests in flight and given up, and bytes in spools. One follows for
    /// each counted user.
    var firstRow: Int { (1 + users) * Layout.line }
    var firstSeat: Int { firstRow + rows * Row.size }
    /// A seat: who has it, since when, the embedded requests that it answered, what it has in flight of all groups; then its
    /// places, what it has of each user, a `GroupPace` for each row, what it has spooled of each row, and a `RequestLabel` for
    /// each place.
    static let firstPlace = line
    var firstUser: Int { Layout.firstPlace + places }
    var firstPace: Int { firstUser + users }
    var firstSpooled: Int { firstPace + rows * GroupPace.size }
    var firstLabel: Int { (firstSpooled + rows + Layout.line - 1) / Layout.line * Layout.line }
    var seat: Int { firstLabel + places * RequestLabel.words }
    var firstShare: Int { firstSeat + children * seat }
    var all: Int { firstShare + ProcessorShares.words }
  }

  /// Makes a book of so many rows and counted users, for as many children at a time with as many threads each; nil when there is
  /// no memory for it.
  public init?(
    rows: Int, users: Int = 0, children: Int, threads: Int = 1, shares: ThreadShares = ThreadShares(), spoolLimit: Int = 0
  ) {
    guard (1...RequestBook.limit).contains(rows), (1...RequestBook.limit).contains(children), (0...rows).contains(users) else {
      return nil
    }
    var places = 16
    while places < 2 * min(max(threads, 1), 4096) { places *= 2 }
    layout = Layout(rows: rows, users: users, children: children, places: places)
    guard let memory = SharedMemory(size: layout.all * 8) else { return nil }
    self.memory = memory
    self.shares = shares
    self.spoolLimit = spoolLimit
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    mostGivenUp = Int(clamping: max(32, limit.rlim_cur / 4))
  }

  /// Gives the mapping back. Nothing may use the book, or a copy of it, in this process afterwards.
  public func unmap() { memory.unmap() }

  /// So many given-up requests of all groups may lie in queues, each with a descriptor or two: the kernel lets a user have no
  /// more of them under way than one of its processes may have open.
  let mostGivenUp: Int

  var inFlightOfAll: UnsafeMutablePointer<Word> { base }
  var givenUpOfAll: UnsafeMutablePointer<Word> { base + 1 }
  var spooledOfAll: UnsafeMutablePointer<Word> { base + 2 }
  func inFlight(ofUser user: Int) -> UnsafeMutablePointer<Word> { base + (1 + user) * Layout.line }
  public var processorShares: ProcessorShares { ProcessorShares(base: base + layout.firstShare) }
  func seat(_ index: Int) -> UnsafeMutablePointer<Word> { base + (layout.firstSeat + index * layout.seat) }

  // MARK: rows

  /// A process group's place in the book, or that of embedded mode.
  public struct Row: @unchecked Sendable {
    public let slot: Int
    /// The number under which the group's user is counted; nil: there is nothing to count beside the group.
    let user: Int?
    // SAFETY: in the book's mapping.
    fileprivate let words: UnsafeMutablePointer<Word>

    static let stripes = 16
    /// A stripe: statuses (none, 1xx … 5xx), the sum of durations, a spare word, causes, latency buckets.
    enum Offset {
      static let status = 0
      static let sum = 6
      static let cause = 8
      static let bucket = cause + 16
      static let stripe = (bucket + LatencyBuckets.count + Layout.line - 1) / Layout.line * Layout.line
    }
    /// The stripes, so that threads seldom write to the same line, behind what is counted once and the group's `LogShare`.
    private static let firstStripe = 2 * Layout.line
    private static let firstOfHistory = firstStripe + stripes * Offset.stripe
    fileprivate static let size = firstOfHistory + RequestHistory.words

    var inFlight: UnsafeMutablePointer<Word> { words }
    /// Requests of the group in flight now.
    public var inFlightNow: Int { max(0, inFlight.pointee.load(ordering: .relaxed)) }
    /// Requests that were given up and may still lie in the group's queue.
    var givenUp: UnsafeMutablePointer<Word> { words + 1 }
    /// The last cause of failure, and when.
    var lastFailure: UnsafeMutablePointer<Word> { words + 2 }
    /// Requests that were taken back from session slots and may still lie in the queues of those.
    var leftInSlots: UnsafeMutablePointer<Word> { words + 3 }
    /// Bytes in files of the group's spools.
    var spooled: UnsafeMutablePointer<Word> { words + 4 }
    var history: RequestHistory { RequestHistory(base: words + Row.firstOfHistory) }
    /// The log limit of the group's requests.
    public var logShare: LogShare { LogShare(words: words + Layout.line) }
    /// Forgets what was counted, for the next group: all but what lies in queues, and what is in flight or in spools, which
    /// those who counted it subtract.
    public func forgetCounts() {
      for word in 2..<Row.size where word != 3 && word != 4 && words[word].load(ordering: .relaxed) != 0 {
        words[word].store(0, ordering: .relaxed)
      }
    }
    @inline(__always)
    func stripe(_ index: Int) -> UnsafeMutablePointer<Word> { words + (Row.firstStripe &+ index &* Offset.stripe) }
  }

  /// The row in `slot`, for a group whose user is counted under the number `user`; nil: the book has no such row, or no such
  /// user, and a group without one cannot be started.
  public func row(_ slot: Int, user: Int? = nil) -> Row? {
    guard (0..<layout.rows).contains(slot), user.map((0..<layout.users).contains) ?? true else { return nil }
    return Row(slot: slot, user: user, words: base + (layout.firstRow + slot * Row.size))
  }

  // MARK: seats

  /// Takes a seat for the process `pid`, at the start of an httpd child. Without a free one its requests are counted too, but
  /// are not shown while they are in flight, and stay counted if it dies with them.
  public func takeSeat(pid: Int32, now: Int64 = 0) -> ChildSeat {
    for index in 0..<layout.children {
      let words = seat(index)
      guard words.pointee.compareExchange(expected: 0, desired: Int(pid), ordering: .acquiringAndReleasing).exchanged else {
        continue
      }
      words[1].store(Int(clamping: now), ordering: .relaxed)
      return ChildSeat(self, index, words, pid: pid)
    }
    // More children than were thought of.
    return ChildSeat(self, -1, RequestBook.words(layout.seat), pid: pid)
  }

  /// Memory of this process alone, kept until it ends.
  static func words(_ count: Int) -> UnsafeMutablePointer<Word> {
    let words = UnsafeMutablePointer<Word>.allocate(capacity: count)
    for index in 0..<count { (words + index).initialize(to: Atomic(0)) }
    return words
  }

  /// Frees the seat of a process that has ended and takes what it had in flight out of the counts. In the parent or in a child,
  /// for a process that is known to be gone; a pid without a seat is nothing to do.
  public func vacate(pid: Int32) {
    guard pid > 0, let index = (0..<layout.children).first(where: { owner(of: $0) == pid }) else { return }
    let words = seat(index)
    let isShared = shares.reach == .server
    for slot in 0..<layout.rows {
      let spooled = words[layout.firstSpooled &+ slot].exchange(0, ordering: .acquiringAndReleasing)
      if spooled > 0 {
        row(slot)?.spooled.pointee.wrappingSubtract(spooled, ordering: .relaxed)
        spooledOfAll.pointee.wrappingSubtract(spooled, ordering: .relaxed)
      }
      let left = words[layout.firstPace &+ slot &* GroupPace.size].exchange(0, ordering: .acquiringAndReleasing)
      guard left > 0 else { continue }
      row(slot)?.inFlight.pointee.wrappingSubtract(left, ordering: .relaxed)
      if isShared { inFlightOfAll.pointee.wrappingSubtract(left, ordering: .relaxed) }
    }
    for user in 0..<layout.users {
      let left = words[layout.firstUser &+ user].exchange(0, ordering: .acquiringAndReleasing)
      if isShared, left > 0 { inFlight(ofUser: user).pointee.wrappingSubtract(left, ordering: .relaxed) }
    }
    for word in 1..<layout.seat { words[word].store(0, ordering: .relaxed) }
    words[0].store(0, ordering: .releasing)
  }

  func owner(of index: Int) -> Int32 { Int32(truncatingIfNeeded: seat(index).pointee.load(ordering: .acquiring)) }
}
