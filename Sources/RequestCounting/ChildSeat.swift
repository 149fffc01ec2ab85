import Synchronization
import WSGICore

/// Why a request was not counted in.
public enum Crowding: Equatable, Sendable {
  /// As many requests of the group are in flight as its queue-limit says, or an eighth less than httpd has threads.
  case queueLimit
  /// Requests that were given up and still lie in the group's queue leave no room for more.
  case givenUp
  /// Other threads are kept for others.
  case threads(ThreadShares.Holder)
}

/// One httpd child's place in the book. Its functions may be called on any thread of that child.
public final class ChildSeat: @unchecked Sendable {
  typealias Word = RequestBook.Word

  let book: RequestBook
  /// Its place among the children; -1: none was free.
  public let index: Int
  // SAFETY: in the book's mapping, or never freed; only reached through atomics.
  private let words: UnsafeMutablePointer<Word>
  /// The requests in flight of all groups together: in this child, or in the whole server where shares apply to that.
  private let all: UnsafeMutablePointer<Word>
  private let users: UnsafeMutablePointer<Word>
  private let paces: UnsafeMutablePointer<Word>
  private let placeMask: Int
  private let firstLabel: Int
  private let isShared: Bool
  private let salt: UInt
  private let threads = Atomic<Int>(0)

  init(_ book: RequestBook, _ index: Int, _ words: UnsafeMutablePointer<Word>, pid: Int32) {
    self.book = book
    self.index = index
    self.words = words
    isShared = book.shares.reach == .server
    all = isShared ? book.inFlightOfAll : words + 3
    users = words + book.layout.firstUser
    paces = words + book.layout.firstPace
    placeMask = book.layout.places - 1
    firstLabel = book.layout.firstLabel
    salt = UInt(UInt32(bitPattern: pid))
  }

  /// A number for another thread of this child, from 0.
  public func countThread() -> Int { threads.wrappingAdd(1, ordering: .relaxed).oldValue }

  // MARK: admission

  /// How long requests of a group take, as this child has seen of late.
  @inline(__always)
  public func pace(_ row: RequestBook.Row) -> GroupPace { GroupPace(words: paces + row.slot &* GroupPace.size) }

  /// Bytes that this child has in files of a group's spools.
  func spooled(_ row: RequestBook.Row) -> UnsafeMutablePointer<Word> { words + (book.layout.firstSpooled &+ row.slot) }

  /// Counts a request in; the result is why not. nil: `leave` must follow.
  public func enter(_ row: RequestBook.Row, limit: Int) -> Crowding? {
    // The child's share first: a child that dies between the two leaves a count too low for one request rather than too high
    // for ever.
    let own = pace(row).inFlight.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
    let before = row.inFlight.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
    let all = all.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
    let user = row.user.map { user in
      let own = users[user].wrappingAdd(1, ordering: .relaxed).oldValue
      return isShared ? book.inFlight(ofUser: user).pointee.wrappingAdd(1, ordering: .relaxed).oldValue : own
    }
    // What was given up takes as much room as what is wanted, and where nothing leaves the queue more and more of it.
    let left = givenUp(row)
    let isClogged = left > 0 && (before >= limit &- left || hasMuchGivenUp)
    let holder = book.shares.refusal(group: isShared ? before : own, user: user, all: all)
    if before < limit, !isClogged, holder == nil { return nil }
    leave(row)
    if before < limit, isClogged { return .givenUp }
    return before < limit ? holder.map { .threads($0) } : .queueLimit
  }

  public func leave(_ row: RequestBook.Row) {
    if let user = row.user {
      if isShared { book.inFlight(ofUser: user).pointee.wrappingSubtract(1, ordering: .relaxed) }
      users[user].wrappingSubtract(1, ordering: .relaxed)
    }
    all.pointee.wrappingSubtract(1, ordering: .relaxed)
    row.inFlight.pointee.wrappingSubtract(1, ordering: .relaxed)
    pace(row).inFlight.pointee.wrappingSubtract(1, ordering: .relaxed)
  }

  /// A request was given up before it is known to have left the queue.
  @inline(never)
  public func giveUp(_ row: RequestBook.Row) {
    row.givenUp.pointee.wrappingAdd(1, ordering: .relaxed)
    book.givenUpOfAll.pointee.wrappingAdd(1, ordering: .relaxed)
  }

  /// How many requests of a group were given up and may still lie in its queue.
  @inline(__always)
  public func givenUp(_ row: RequestBook.Row) -> Int { row.givenUp.pointee.load(ordering: .relaxed) }

  var hasMuchGivenUp: Bool { book.givenUpOfAll.pointee.load(ordering: .relaxed) >= book.mostGivenUp }

  /// Forgets given-up requests beyond `possible`: the queue has no longer more.
  @inline(never)
  public func forgetGivenUp(_ row: RequestBook.Row, beyond possible: Int) {
    let left = givenUp(row)
    guard left > possible else { return }
    let (isOurs, _) = row.givenUp.pointee.compareExchange(expected: left, desired: possible, ordering: .relaxed)
    if isOurs { book.givenUpOfAll.pointee.wrappingSubtract(left &- possible, ordering: .relaxed) }
  }

  // MARK: the status page

  /// A request that was begun.
  public struct Ticket: @unchecked Sendable {
    // SAFETY: in the book's mapping, or never freed.
    fileprivate let stripe: UnsafeMutablePointer<Word>
    fileprivate let row: RequestBook.Row
    fileprivate let place: UnsafeMutablePointer<Word>?
    fileprivate let label: UnsafeMutablePointer<Word>
  }

  /// A request of a group, or an embedded one, begins. `key` tells it from others that this child runs; `started` in
  /// microseconds since the epoch.
  public func begin(_ row: RequestBook.Row, key: UInt, started: Int64, _ label: RequestLabel) -> Ticket {
    let hash = ((key >> 4) ^ salt) &* 0x9E37_79B9_7F4A_7C15
    let stamp = Int(clamping: max(started, 0) / 1000) << 16 | (row.slot &+ 1)
    var place = Int(truncatingIfNeeded: hash >> 32) & placeMask
    for _ in 0..<8 {
      let word = words + (RequestBook.Layout.firstPlace &+ place)
      if word.pointee.compareExchange(expected: 0, desired: stamp, ordering: .relaxed).exchanged {
        let words = words + (firstLabel &+ place &* RequestLabel.words)
        label.write(to: words)
        return Ticket(stripe: row.stripe(Int(hash >> 60)), row: row, place: word, label: words)
      }
      place = (place &+ 1) & placeMask
    }
    return Ticket(stripe: row.stripe(Int(hash >> 60)), row: row, place: nil, label: words)
  }

  /// The request waits for its client, and for no process; after that it has come to wait for one, at `now`.
  public func setReceiving(_ ticket: Ticket, _ row: RequestBook.Row, until now: Int64?) {
    ticket.place?.pointee.store(Int(clamping: (now ?? 0) / 1000) << 16 | (row.slot &+ 1), ordering: .relaxed)
  }

  /// The request has ended. `status` is HTTP's; 0: the client went before it got one.
  public func end(_ ticket: Ticket, status: Int32, cause: RequestCause?, microseconds: Int64, now: Int64, isEmbedded: Bool) {
    @inline(__always) func add(_ number: Int, to offset: Int) {
      ticket.stripe[offset].wrappingAdd(number, ordering: .relaxed)
    }
    typealias Offset = RequestBook.Row.Offset
    let duration = max(microseconds, 0)
    add(1, to: Offset.status &+ (status >= 100 && status < 600 ? Int(status / 100) : 0))
    add(Int(duration), to: Offset.sum)
    add(1, to: Offset.bucket &+ LatencyBuckets.bucket(microseconds: UInt64(duration)))
    if let cause {
      add(1, to: Offset.cause &+ cause.rawValue)
      ticket.row.lastFailure.pointee.store(Int(max(now, 0) / 1000) << 8 | cause.rawValue, ordering: .relaxed)
    }
    ticket.row.history.note(now: now, microseconds: Int(duration), hasFailed: status >= 500 && status < 600)
    if let place = ticket.place {
      // The label first: whoever takes the place next must not be found under it.
      ticket.label.pointee.store(0, ordering: .relaxed)
      place.pointee.store(0, ordering: .releasing)
    }
    if isEmbedded { words[2].wrappingAdd(1, ordering: .relaxed) }
  }
}
