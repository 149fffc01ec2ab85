import CPosix
import Platform
import ProcessSupervision
import Synchronization
import WSGICore

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
  /// Where the head of each place's request lies: its address, and its length.
  private let heads: UnsafeMutablePointer<Atomic<UInt>>
  /// The kernel's number of each place's thread.
  private let threadIDs: UnsafeMutablePointer<Atomic<Int32>>

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
    heads = .allocate(capacity: max(count, 1) * 2)
    for index in 0..<count * 2 { (heads + index).initialize(to: Atomic(0)) }
    threadIDs = .allocate(capacity: max(count, 1))
    for index in 0..<count { (threadIDs + index).initialize(to: Atomic(0)) }
  }

  /// `thread` begins its `number`th request, which httpd knows by `id`; the result is its ticket. `head` stays where it is until
  /// the request ends.
  @inline(__always)
  func begin(
    _ thread: Int, number: UInt64, id: UnsafeRawBufferPointer, head: UnsafeRawBufferPointer, now: Int64
  ) -> UInt64 {
    let ticket = number &<< 16 | UInt64(thread &+ 1)
    write(id, thread)
    heads[thread &* 2].store(UInt(bitPattern: head.baseAddress), ordering: .releasing)
    heads[thread &* 2 &+ 1].store(UInt(bitPattern: head.count), ordering: .releasing)
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

  func setThread(_ thread: Int, _ id: Int32) { threadIDs[thread].store(id, ordering: .relaxed) }

  func setSaturated(_ value: Bool) {
    if count > 0 { places[0].isSaturated.store(value ? 1 : 0, ordering: .relaxed) }
  }

  // Between the end of one request and the ticket of the next no ticket stands here: who finds the same one before and after
  // has read the id and the head that belong to it.

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

  /// The requests, with what their heads say of them.
  var current: [CurrentRequest] {
    let now = Clock.monotonicMilliseconds()
    return requests.compactMap { request in
      let thread = Int(request.ticket & 0xFFFF) &- 1
      guard thread >= 0, thread < count, let head = head(of: request, thread) else { return nil }
      var found = head.withUnsafeBytes { CurrentRequest(head: $0) }
      found.age = max(0, now &- request.since)
      found.thread = threadIDs[thread].load(ordering: .relaxed)
      if found.id.isEmpty { found.id = Array((id(of: request) ?? "").utf8) }
      return found
    }
  }

  /// A copy of a request's head, empty where the kernel makes none; nil: the request has ended.
  ///
  /// Its thread may end the request at any moment, and overwrite or free the head: the kernel copies it, to which any address is
  /// harmless, and the copy counts if the ticket still stands after it.
  private func head(of request: Request, _ thread: Int) -> [UInt8]? {
    let address = heads[thread &* 2].load(ordering: .acquiring)
    let length = min(Int(clamping: heads[thread &* 2 &+ 1].load(ordering: .acquiring)), RequestHead.limit)
    let copy = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
      count = max(0, wsgi_posix_copy_own_memory(buffer.baseAddress, address, length))
    }
    atomicMemoryFence(ordering: .acquiring)
    return places[thread].ticket.load(ordering: .relaxed) == request.ticket ? copy : nil
  }
}
