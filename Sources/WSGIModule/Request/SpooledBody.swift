import CHTTPD
import DaemonTransport
import Glibc
import Platform
import RequestCounting
import WSGIConfig
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
  private var file: SpoolFile?
  /// How the room that it takes is counted.
  private let seat: ChildSeat
  private let group: ChildGroup
  private var inFile = 0
  /// Received, when the file took no more.
  private var rest: [UInt8] = []
  private var given = 0
  /// Stands behind what was received.
  private var end: BodyRead?

  /// `length`: the announced one, -1: none.
  init(_ request: OpaquePointer, of group: ChildGroup, seat: ChildSeat, length: Int64, isThere: Bool) {
    self.request = request
    self.group = group
    self.seat = seat
    let limit = group.config.requestSpool
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
    var failure: SpoolFailure?
    let most = max(1, min(SpooledBody.inMemory, limit - inMemory - inFile))
    let read = withUnsafeTemporaryAllocation(byteCount: most, alignment: 16) { buffer -> BodyRead in
      let read = readFromClient(into: buffer)
      guard case .bytes(let count) = read else { return read }
      failure = keep(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      return read
    }
    if let failure { throw failure }
    return read
  }

  /// Writes to the file. The result is why it did not take everything; then the rest is kept.
  private mutating func keep(_ bytes: UnsafeRawBufferPointer) -> SpoolFailure? {
    var left = bytes
    do throws(SpoolFailure) {
      if file == nil {
        let space = SpoolSpace(seat, group.row, limit: group.config.spoolLimit)
        file = try SpoolFile(wsgi_httpd_temporary_file(request), space)
      }
      while !left.isEmpty {
        guard let count = try file?.write(left, at: inFile) else { break }
        inFile += count
        left = UnsafeRawBufferPointer(rebasing: left.dropFirst(count))
      }
      return nil
    } catch {
      rest = Array(left)
      return error
    }
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

  /// Reads what is there, as `RequestOrigin.readBody`. It throws what happens when what was received cannot be read.
  mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws(SpoolFailure) -> BodyRead {
    if given < inMemory { return give(UnsafeRawBufferPointer(rebasing: memory[given..<inMemory]), buffer) }
    if given < inMemory + inFile {
      guard let start = buffer.baseAddress else { return .failed(.failed) }
      let left = inMemory + inFile - given
      let count = try file?.read(into: start, min(buffer.count, left), at: given - inMemory) ?? 0
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
