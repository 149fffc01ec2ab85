import Glibc
import Synchronization
import WSGICore

/// What httpd's children count of the requests of each process group, and which requests they have in flight.
///
/// Memory of fixed size, shared by the parent that makes it and the children that it forks. Children write, any of them reads
/// and sums up; the parent, which may be root, only makes it, clears the seats of dead children, and believes nothing in it.
/// Groups are numbered by the caller, who counts embedded mode as one of them.
///
/// Counters lie in stripes, so that threads seldom write to the same line; every word is atomic by itself, and a sum may be
/// ahead of another by the requests that end while it is made.
public struct RequestTally: @unchecked Sendable {
  // SAFETY: the mapping is made once, never moves, and is only reached through atomics.
  private let base: UnsafeMutableRawPointer
  public let groups: Int
  public let seats: Int
  /// A power of two: places for requests in flight of each child.
  private let places: Int

  fileprivate typealias Word = Atomic<UInt64>

  static let stripes = 16
  /// A stripe of a group: statuses (none, 1xx … 5xx), the sum of durations, a spare word, causes, latency buckets.
  fileprivate enum Offset {
    static let status = 0
    static let sum = 6
    static let cause = 8
    static let bucket = cause + 16
    static let stripe = (bucket + LatencyBuckets.count + 7) / 8 * 8
    /// Behind a group's stripes: the last cause of failure, and when.
    static let last = stripe * stripes
    static let group = last + 8
    /// A child: its pid, when it began, the embedded requests that it has answered; then the places.
    static let owner = 0
    static let started = 1
    static let answered = 2
    static let places = 8
  }

  /// Makes a tally for so many groups, children at a time, and threads of each; nil when there is no memory for it.
  public init?(groups: Int, seats: Int, threads: Int) {
    guard groups > 0, seats > 0, groups < 65536, seats <= 65536 else { return nil }
    var places = 16
    while places < 2 * min(max(threads, 1), 4096) { places *= 2 }
    let mapping = mmap(
      nil, RequestTally.size(groups, seats, places), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
    guard let mapping, mapping != MAP_FAILED else { return nil }
    // Zeroed pages are valid: Atomic<UInt64> is its integer and nothing else.
    base = mapping
    self.groups = groups
    self.seats = seats
    self.places = places
  }

  private static func size(_ groups: Int, _ seats: Int, _ places: Int) -> Int {
    (groups * Offset.group + seats * (Offset.places + places)) * 8
  }

  /// Gives the mapping back. Nothing may use the tally, or a copy of it, in this process afterwards.
  public func unmap() { _ = munmap(base, RequestTally.size(groups, seats, places)) }

  @inline(__always)
  fileprivate func word(_ index: Int) -> UnsafeMutablePointer<Word> {
    (base + index &* 8).assumingMemoryBound(to: Word.self)
  }

  @inline(__always)
  fileprivate func load(_ index: Int) -> UInt64 { word(index).pointee.load(ordering: .relaxed) }

  @inline(__always)
  fileprivate func add(_ number: UInt64, to index: Int) { word(index).pointee.wrappingAdd(number, ordering: .relaxed) }

  @inline(__always)
  fileprivate func seat(_ index: Int) -> Int { groups &* Offset.group &+ index &* (Offset.places &+ places) }

  // MARK: seats

  /// Takes a seat for the process `pid`, at the start of an httpd child. Without a free one its requests are counted too, but
  /// not shown while they are in flight.
  public func takeSeat(pid: Int32, now: Int64) -> TallySeat {
    for index in 0..<seats {
      let first = seat(index)
      let (taken, _) = word(first).pointee.compareExchange(
        expected: 0, desired: UInt64(UInt32(bitPattern: pid)), ordering: .acquiringAndReleasing)
      guard taken else { continue }
      for place in Offset.answered..<(Offset.places + places) { word(first + place).pointee.store(0, ordering: .relaxed) }
      word(first + Offset.started).pointee.store(UInt64(clamping: now), ordering: .relaxed)
      return TallySeat(self, first: first, pid: pid)
    }
    return TallySeat(self, first: -1, pid: pid)
  }

  /// Frees the seat of a process that has ended; a pid without one is nothing to do.
  public func vacate(pid: Int32) {
    guard pid > 0 else { return }
    for index in 0..<seats where load(seat(index)) == UInt64(UInt32(bitPattern: pid)) {
      for place in Offset.places..<(Offset.places + places) {
        word(seat(index) + place).pointee.store(0, ordering: .relaxed)
      }
      word(seat(index)).pointee.store(0, ordering: .releasing)
      return
    }
  }

  // MARK: reading

  /// What was counted of a group since the tally was made.
  public func counts(of group: Int) -> RequestCounts {
    var counts = RequestCounts()
    guard group >= 0, group < groups else { return counts }
    let first = group * Offset.group
    for stripe in 0..<RequestTally.stripes {
      let start = first + stripe * Offset.stripe
      for index in counts.statuses.indices { counts.statuses[index] &+= load(start + Offset.status + index) }
      for index in counts.causes.indices { counts.causes[index] &+= load(start + Offset.cause + index) }
      for index in counts.latencies.indices { counts.latencies[index] &+= load(start + Offset.bucket + index) }
      counts.duration &+= load(start + Offset.sum)
    }
    let last = load(first + Offset.last)
    if last != 0, let cause = RequestCause(rawValue: Int(last & 0xFF)) {
      counts.lastFailure = .init(cause: cause, at: Int64(clamping: last >> 8) &* 1000)
    }
    return counts
  }

  /// A child of httpd, and what it has in flight.
  public struct Child: Equatable, Sendable {
    public var pid: Int32
    /// Microseconds since the epoch.
    public var started: Int64
    /// Embedded requests that it has answered.
    public var answered: UInt64
    public var inFlight: [InFlight]
  }

  public struct InFlight: Equatable, Sendable {
    public var group: Int
    /// When httpd had read the request line, in microseconds since the epoch.
    public var started: Int64
  }

  public func children() -> [Child] {
    (0..<seats).compactMap { index in
      let first = seat(index)
      let pid = Int32(truncatingIfNeeded: load(first))
      guard pid > 0 else { return nil }
      let running: [InFlight] = (0..<places).compactMap { place in
        let stamp = load(first + Offset.places + place)
        let group = Int(stamp & 0xFFFF) - 1
        guard stamp != 0, group >= 0, group < groups else { return nil }
        return InFlight(group: group, started: Int64(clamping: stamp >> 16) &* 1000)
      }
      return Child(
        pid: pid, started: Int64(clamping: load(first + Offset.started)), answered: load(first + Offset.answered),
        inFlight: running)
    }
  }
}

/// One httpd child's place in the tally. Its functions may be called on any thread of that child.
public struct TallySeat: Sendable {
  private let tally: RequestTally
  private let first: Int
  private let salt: UInt

  fileprivate init(_ tally: RequestTally, first: Int, pid: Int32) {
    self.tally = tally
    self.first = first
    salt = UInt(UInt32(bitPattern: pid))
  }

  /// A request that was begun.
  public struct Ticket: Sendable {
    fileprivate let group: Int
    fileprivate let place: Int
    fileprivate let stripe: Int
  }

  /// A request of `group` begins. `key` tells it from others that this child runs; `started` in microseconds since the epoch.
  @inline(__always)
  public func begin(_ group: Int, key: UInt, started: Int64) -> Ticket {
    let hash = ((key >> 4) ^ salt) &* 0x9E37_79B9_7F4A_7C15
    let stripe = Int(hash >> 60)
    guard first >= 0, group >= 0, group < tally.groups else { return Ticket(group: group, place: -1, stripe: stripe) }
    let stamp = UInt64(clamping: started / 1000) << 16 | UInt64(group &+ 1)
    let mask = tally.placeMask
    var place = Int(hash >> 32) & mask
    for _ in 0..<8 {
      let index = first &+ RequestTally.firstPlace &+ place
      if tally.claim(index, stamp) { return Ticket(group: group, place: index, stripe: stripe) }
      place = (place &+ 1) & mask
    }
    return Ticket(group: group, place: -1, stripe: stripe)
  }

  /// The request has ended. `status` is HTTP's; 0: the client went before it got one.
  @inline(__always)
  public func end(
    _ ticket: Ticket, status: Int32, cause: RequestCause?, microseconds: Int64, now: Int64, isEmbedded: Bool
  ) {
    tally.count(ticket.group, ticket.stripe, status: status, cause: cause, microseconds: microseconds, now: now)
    guard first >= 0 else { return }
    if ticket.place >= 0 { tally.release(ticket.place) }
    if isEmbedded { tally.countAnswered(first) }
  }
}

extension RequestTally {
  fileprivate static let firstPlace = Offset.places

  @inline(__always)
  fileprivate var placeMask: Int { places &- 1 }

  @inline(__always)
  fileprivate func claim(_ index: Int, _ stamp: UInt64) -> Bool {
    word(index).pointee.compareExchange(expected: 0, desired: stamp, ordering: .relaxed).exchanged
  }

  @inline(__always)
  fileprivate func release(_ index: Int) { word(index).pointee.store(0, ordering: .relaxed) }

  @inline(__always)
  fileprivate func countAnswered(_ first: Int) { add(1, to: first &+ Offset.answered) }

  @inline(__always)
  fileprivate func count(
    _ group: Int, _ stripe: Int, status: Int32, cause: RequestCause?, microseconds: Int64, now: Int64
  ) {
    guard group >= 0, group < groups else { return }
    let start = group &* Offset.group &+ (stripe & (RequestTally.stripes &- 1)) &* Offset.stripe
    let kind = status >= 100 && status < 600 ? Int(status / 100) : 0
    let duration = UInt64(clamping: microseconds)
    add(1, to: start &+ Offset.status &+ kind)
    add(duration, to: start &+ Offset.sum)
    add(1, to: start &+ Offset.bucket &+ LatencyBuckets.bucket(microseconds: duration))
    guard let cause else { return }
    add(1, to: start &+ Offset.cause &+ cause.rawValue)
    let last = UInt64(clamping: now / 1000) << 8 | UInt64(cause.rawValue)
    word(group &* Offset.group &+ Offset.last).pointee.store(last, ordering: .relaxed)
  }
}

/// What was counted of a group's requests.
public struct RequestCounts: Equatable, Sendable {
  public struct Failure: Equatable, Sendable {
    public var cause: RequestCause
    /// Microseconds since the epoch.
    public var at: Int64

    public init(cause: RequestCause, at: Int64) {
      self.cause = cause
      self.at = at
    }
  }

  /// Requests by the first digit of their status; 0: the client went before it got one.
  public var statuses = [UInt64](repeating: 0, count: 6)
  /// By `RequestCause`.
  public var causes = [UInt64](repeating: 0, count: RequestCause.allCases.count)
  /// By `LatencyBuckets`.
  public var latencies = [UInt64](repeating: 0, count: LatencyBuckets.count)
  /// All durations together, in microseconds.
  public var duration: UInt64 = 0
  public var lastFailure: Failure?

  public init() {}

  public var total: UInt64 { statuses.reduce(0, &+) }
}
