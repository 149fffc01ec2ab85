import CHTTPD
import DaemonTransport
import Glibc
import Platform
import WSGICore

/// A request body on its way to a daemon process: a first part is received before a process is asked for the request, so that a
/// slow client keeps no thread of one; the rest comes from the client as the process asks for it.
struct SpooledBody: ~Copyable {
  /// Beyond that a file holds what is received.
  static let inMemory = 64 << 10
  /// A body of unknown length that pauses for so long, in milliseconds, may be waiting for an answer.
  private static let pause: Int64 = 1_000

  private let request: OpaquePointer
  private var body: ClientBody
  /// The most to receive; 0: nothing.
  private let limit: Int
  /// -1: not known.
  private let length: Int64
  private var hasReceived = false

  private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var inMemory = 0
  private var file = Descriptor()
  private var inFile = 0
  /// Received, when the file took no more.
  private var rest: [UInt8] = []
  private var given = 0
  /// Stands behind what was received.
  private var end: BodyRead?

  /// `limit`: that of the process group; `length`: the announced one, -1: none.
  init(_ request: OpaquePointer, limit: Int, length: Int64, isThere: Bool) {
    self.request = request
    self.length = length
    // A client that waits to be asked for its body is asked when the application reads it, and may be refused before.
    let isWanted = isThere && length <= Int64(limit) && wsgi_httpd_expects_continue(request) == 0
    self.limit = isWanted ? limit : 0
    body = ClientBody(request)
  }

  deinit { memory.deallocate() }

  /// A filter found the body wrong and has answered the client itself.
  var wasAnswered: Bool { body.wasAnswered }

  var isToBeReceived: Bool { limit > 0 && !hasReceived }

  // MARK: receiving

  /// Receives as much as is to be received. `patience`: how long the client may take for its next bytes, in milliseconds; 0: for
  /// ever. What goes wrong is found by who reads the body.
  mutating func receive(patience: Int64) throws(SpoolFailure) {
    guard isToBeReceived else { return }
    hasReceived = true
    memory = .allocate(byteCount: min(limit, SpooledBody.inMemory), alignment: 16)
    var progress = Clock.monotonicMilliseconds()
    // Filters may make more of a body than was announced.
    while end == nil, inMemory + inFile < limit {
      switch try receiveSome() {
      case .bytes, .heldBack: progress = Clock.monotonicMilliseconds()
      case .wouldWait:
        let waited = Clock.monotonicMilliseconds() &- progress
        if length < 0, waited >= SpooledBody.pause { return }
        if patience > 0, waited >= patience {
          end = .failed(.timedOut)
          return
        }
        awaitClient(length < 0 ? SpooledBody.pause &- waited : patience > 0 ? patience &- waited : 1_000)
      case let over: end = over
      }
    }
  }

  private func awaitClient(_ milliseconds: Int64) {
    let socket = wsgi_httpd_client_socket(request)
    // Where requests share a connection it is tried again. Filters that limit the rate of a body act only when they are asked.
    _ = waitUntilReady(socket, for: readable, milliseconds: min(milliseconds, socket < 0 ? 5 : 1_000))
  }

  private mutating func receiveSome() throws(SpoolFailure) -> BodyRead {
    if inMemory < memory.count {
      let read = readFromClient(into: UnsafeMutableRawBufferPointer(rebasing: memory[inMemory...]))
      if case .bytes(let count) = read { inMemory += count }
      return read
    }
    var failure: Int32 = 0
    let most = max(1, min(SpooledBody.inMemory, limit - inMemory - inFile))
    let read = withUnsafeTemporaryAllocation(byteCount: most, alignment: 16) { buffer -> BodyRead in
      let read = readFromClient(into: buffer)
      guard case .bytes(let count) = read else { return read }
      failure = keep(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      return read
    }
    if failure != 0 { throw SpoolFailure(errno: failure) }
    return read
  }

  /// Writes to the file; 0 or an errno value, and what it did not take is kept.
  private mutating func keep(_ bytes: UnsafeRawBufferPointer) -> Int32 {
    if file.number < 0 {
      let made = wsgi_httpd_temporary_file(request)
      guard made >= 0 else {
        rest = Array(bytes)
        return -made
      }
      file = Descriptor(owning: made)
    }
    var left = bytes
    while let start = left.baseAddress, !left.isEmpty {
      let count = systemCall { pwrite(file.number, start, left.count, inFile) }
      guard count > 0 else {
        rest = Array(left)
        return count == 0 ? ENOSPC : Int32(clamping: -count)
      }
      inFile += count
      left = UnsafeRawBufferPointer(rebasing: left.dropFirst(count))
    }
    return 0
  }

  private mutating func readFromClient(into buffer: UnsafeMutableRawBufferPointer) -> BodyRead {
    let count = body.read(into: buffer, wait: false)
    guard count < 0 else { return count > 0 ? .bytes(Int(count)) : .end }
    return switch ExchangeFailure(code: count) {
    case .wouldBlock: .wouldWait
    case .heldBack: .heldBack
    case let failure: .failed(failure)
    }
  }

  // MARK: giving

  /// Reads what is there, as `RequestOrigin.readBody`.
  mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> BodyRead {
    if given < inMemory { return give(UnsafeRawBufferPointer(rebasing: memory[given..<inMemory]), buffer) }
    if given < inMemory + inFile {
      guard let start = buffer.baseAddress else { return .failed(.failed) }
      let count = systemCall { pread(file.number, start, min(buffer.count, inMemory + inFile - given), given - inMemory) }
      guard count > 0 else { return .failed(.failed) }
      given += count
      return .bytes(count)
    }
    let before = inMemory + inFile
    if given < before + rest.count {
      return rest.withUnsafeBytes { give(UnsafeRawBufferPointer(rebasing: $0[(given - before)...]), buffer) }
    }
    return end ?? readFromClient(into: buffer)
  }

  private mutating func give(_ bytes: UnsafeRawBufferPointer, _ buffer: UnsafeMutableRawBufferPointer) -> BodyRead {
    let count = min(bytes.count, buffer.count)
    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    given += count
    return .bytes(count)
  }
}

/// A file took no more of a body.
struct SpoolFailure: Error {
  let errno: Int32
}
