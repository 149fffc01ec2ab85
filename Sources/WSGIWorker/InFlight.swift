import Synchronization

/// The requests that run now: a place for each thread, which that thread writes and the monitor reads. Where there are
/// `WorkerScoreboard`, the places lie in them, and httpd's status page reads them too.
final class InFlight: @unchecked Sendable {
  // SAFETY: allocated or mapped once, freed never; only reached through atomics.
  /// As `WorkerScoreboard` says, of `WorkerScoreboard.placeSize` bytes.
  struct Place: ~Copyable {
    /// Names the request; 0: none.
    let ticket = Atomic<UInt64>(0)
    /// When it was taken from the queue, in milliseconds of the monotonic clock.
    let since = Atomic<Int64>(0)
    /// Requests that the thread has run.
    let completed = Atomic<UInt64>(0)
    /// Of the first thread: the process takes no request at the moment, as others wait for its GIL.
    let isSaturated = Atomic<UInt64>(0)
    private let padding: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  }

  struct Request: Equatable {
    var ticket: UInt64
    var since: Int64
  }

  let count: Int
  private let places: UnsafeMutablePointer<Place>
  /// httpd's id of each place's request: its length, and its bytes as far as they have room.
  private let ids: UnsafeMutablePointer<Atomic<UInt64>>
  private static let idWords = 8

  /// `memory`: as many places, all zero, that stay mapped.
  init(count: Int, memory: UnsafeMutableRawPointer? = nil) {
    self.count = count
    if let memory {
      places = memory.bindMemory(to: Place.self, capacity: max(count, 1))
    } else {
      places = UnsafeMutablePointer<Place>.allocate(capacity: max(count, 1))
    }
    for index in 0..<count { (places + index).initialize(to: Place()) }
    ids = .allocate(capacity: max(count, 1) * InFlight.idWords)
    for index in 0..<count * InFlight.idWords { (ids + index).initialize(to: Atomic(0)) }
  }

  /// `thread` begins its `number`th request, which httpd knows by `id`; the result is its ticket.
  @inline(__always)
  func begin(_ thread: Int, number: UInt64, id: UnsafeRawBufferPointer, now: Int64) -> UInt64 {
    let ticket = number &<< 16 | UInt64(thread &+ 1)
    write(id, thread)
    places[thread].since.store(now, ordering: .relaxed)
    places[thread].ticket.store(ticket, ordering: .releasing)
    return ticket
  }

  @inline(__always)
  func end(_ thread: Int, isRun: Bool = true) {
    if isRun {
      // Only this thread writes it.
      let completed = places[thread].completed.load(ordering: .relaxed)
      places[thread].completed.store(completed &+ 1, ordering: .relaxed)
    }
    places[thread].ticket.store(0, ordering: .releasing)
  }

  func setSaturated(_ value: Bool) {
    if count > 0 { places[0].isSaturated.store(value ? 1 : 0, ordering: .relaxed) }
  }

  // Between the end of one request and the ticket of the next no ticket stands here: who finds the same one before and after
  // has read the id that belongs to it.

  @inline(__always)
  private func write(_ id: UnsafeRawBufferPointer, _ thread: Int) {
    let words = ids + thread &* InFlight.idWords
    let length = min(id.count, (InFlight.idWords &- 1) &* 8)
    words[0].store(UInt64(length), ordering: .releasing)
    var done = 0
    while done < length {
      var word: UInt64 = 0
      withUnsafeMutableBytes(of: &word) { $0.copyBytes(from: id[done..<min(done &+ 8, length)]) }
      words[1 &+ done / 8].store(word, ordering: .releasing)
      done &+= 8
    }
  }

  /// httpd's id of a request; nil where it has none, or has ended.
  func id(of request: Request) -> String? {
    let thread = Int(request.ticket & 0xFFFF) &- 1
    guard thread >= 0, thread < count else { return nil }
    let words = (0..<InFlight.idWords).map { ids[thread &* InFlight.idWords &+ $0].load(ordering: .acquiring) }
    guard places[thread].ticket.load(ordering: .acquiring) == request.ticket else { return nil }
    let length = min(Int(clamping: words[0]), (InFlight.idWords &- 1) &* 8)
    guard length > 0 else { return nil }
    return words[1...].withUnsafeBytes { String(decoding: $0.prefix(length), as: UTF8.self) }
  }

  var requests: [Request] {
    (0..<count).compactMap { index in
      let ticket = places[index].ticket.load(ordering: .acquiring)
      return ticket == 0 ? nil : Request(ticket: ticket, since: places[index].since.load(ordering: .relaxed))
    }
  }
}
