import CHTTPD
import DaemonTransport
import Glibc
import Platform
import WSGICore

/// A request of a group whose sessions stay with processes: a `DaemonRequest` that knows its slot, and whose response sets the
/// cookie.
struct SessionRequest: SessionOrigin, ~Copyable {
  private(set) var base: DaemonRequest
  private var session: Session
  private var owners: RequestOwners?
  private let head: UnsafeRawBufferPointer
  private let isMounted: Bool
  /// Of the thread's requests, on the board of owners.
  private var place: UInt32 = 0
  /// The slot that it is put into the queue of.
  private var slot: Int?
  /// Its slot did not take it: any process may.
  private var hasPassed = false

  /// `head`: the request's, encoded. `isMounted`: it is for a script of an alias, whose mount point is the script's name.
  init(
    _ base: consuming DaemonRequest, _ session: Session, owners: RequestOwners?, head: UnsafeRawBufferPointer, isMounted: Bool
  ) {
    self.base = base
    self.session = session
    self.owners = owners
    self.head = head
    self.isMounted = isMounted
  }

  mutating func use(_ slots: SessionSlots, owners: RequestOwners?) {
    session.use(slots)
    self.owners = owners
  }

  mutating func conclude(_ outcome: DaemonOutcome) -> Int32 { base.conclude(outcome) }

  // MARK: its slot

  var patience: Int64 { session.slots.patience }

  mutating func slotQueue() -> Int32? {
    guard !hasPassed, let slot = session.servingSlot(), session.slots.queues.indices.contains(slot) else { return nil }
    self.slot = slot
    return session.slots.queues[slot]
  }

  func isSlotServed() -> Bool { slot.map { session.isServed($0) } ?? false }

  mutating func slotPassed() {
    hasPassed = true
    base.sessionMoves()
  }

  func mostInSlots() -> Int { session.slots.mostMessages }
  mutating func willBeNoted(at place: UInt32) { self.place = place }

  // MARK: the cookie

  mutating func begin(_ head: UnsafeRawBufferPointer) -> Bool {
    guard base.begin(head) else { return false }
    if let pid = owners?.taker(at: place), let cookie = session.newCookie(for: pid), !isForAnybody(head) { set(cookie) }
    return true
  }

  /// Whether caches may give the response to others, who must not get this client's cookie with it.
  private func isForAnybody(_ head: UnsafeRawBufferPointer) -> Bool {
    guard let head = try? ResponseHead(decoding: head) else { return false }
    var headers = head.headers
    for _ in 0..<head.headerCount {
      guard let (name, value) = try? headers.readPair(), let value else { continue }
      if HeaderSyntax.equals(name, "cache-control"), HeaderSyntax.isForAnybody(cacheControl: value) { return true }
    }
    return false
  }

  private func set(_ cookie: (name: [UInt8], value: [UInt8])) {
    let pool = wsgi_httpd_request_pool(base.request)
    var text =
      cookie.name + Array("=".utf8) + cookie.value + Array("; Path=".utf8) + path + Array("; HttpOnly; SameSite=Lax".utf8)
    if let head = try? RequestHead(decoding: head), head.flags.contains(.https) { text += Array("; Secure".utf8) }
    // Among those that httpd sends with an error document, too.
    wsgi_httpd_add_error_header(base.request, poolCopy("Set-Cookie", pool), text.withUnsafeBytes { poolCopy($0, pool) })
  }

  /// The mount point, as it stands in URLs.
  private var path: [UInt8] {
    guard isMounted, let head = try? RequestHead(decoding: head) else { return [UInt8(ascii: "/")] }
    var name: UnsafeRawBufferPointer?
    var environ = head.environ
    for _ in 0..<head.pairCount {
      guard let (key, value) = try? environ.readPair() else { break }
      if key.elementsEqual("SCRIPT_NAME".utf8) { name = value }
    }
    return CookiePath.bytes(of: name ?? nothing)
  }

  // MARK: what it is otherwise

  mutating func receiveBody() -> Int64 { base.receiveBody() }
  mutating func readBody(into buffer: UnsafeMutableRawBufferPointer) -> BodyRead { base.readBody(into: buffer) }
  var bodyDescriptor: Int32 { base.bodyDescriptor }
  var bodyTimeoutMilliseconds: Int64 { base.bodyTimeoutMilliseconds }
  mutating func write(_ bytes: UnsafeRawBufferPointer) -> Bool { base.write(bytes) }
  mutating func end(_ bytes: UnsafeRawBufferPointer) -> Bool { base.end(bytes) }
  mutating func flush() -> Bool { base.flush() }

  func isClientBehind() -> Bool { base.isClientBehind() }
  var clientTimeoutMilliseconds: Int64 { base.clientTimeoutMilliseconds }
  mutating func clientTimedOut() { base.clientTimedOut() }
  mutating func makeSpoolFile() -> Int32 { base.makeSpoolFile() }
  mutating func spoolFailed(_ failure: SpoolFailure) { base.spoolFailed(failure) }

  mutating func sendFile(_ file: consuming Descriptor, offset: Int64, length: Int64) -> Bool {
    base.sendFile(file, offset: offset, length: length)
  }

  mutating func log(level: LogLevel, file: UnsafeRawBufferPointer, line: UInt32, text: UnsafeRawBufferPointer) {
    base.log(level: level, file: file, line: line, text: text)
  }

  func isServed() -> Bool { base.isServed() }
  func isStarting() -> Bool { base.isStarting() }
  func isHalted() -> Bool { base.isHalted() }
  mutating func requeued(attempt: UInt32) { base.requeued(attempt: attempt) }
}
