import CPosix
import Glibc
import Platform
import RequestCounting
import Testing
import WSGICore

@testable import DaemonTransport

/// A thread that runs one closure; `join` waits for it.
final class Background: @unchecked Sendable {
  private final class Box { let body: @Sendable () -> Void; init(_ body: @escaping @Sendable () -> Void) { self.body = body } }
  private var thread = pthread_t()

  init(_ body: @escaping @Sendable () -> Void) {
    let box = Unmanaged.passRetained(Box(body))
    let made = pthread_create(
      &thread, nil,
      {
        if let box = $0 { Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body() }; return nil
      }, box.toOpaque())
    precondition(made == 0, "no thread")
  }

  func join() { pthread_join(thread, nil) }
}

/// Reproducible random numbers.
struct Dice: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// What a origin saw. `text` and counts are enough to compare.
struct RecordingOrigin: RequestOrigin, ~Copyable {
  var head: [UInt8] = []
  var body: [UInt8] = []
  var keepsBody = true
  var flushes = 0
  /// How many bytes came together with the end of the response.
  var endings: [Int] = []
  var logs: [String] = []
  var requeues: [UInt32] = []
  struct SentFile: Equatable {
    var size, offset, length: Int64
  }
  var file: SentFile?
  var refusesHead = false
  var clientGoesAfter = Int.max
  var written = 0
  var served = true

  var upload: [UInt8] = []
  var uploaded = 0
  var uploadFailure: ExchangeFailure?
  var uploadStalls = false
  /// So many reads bring bytes that the origin keeps for itself, before each one that gives some.
  var heldBack = 0
  private var heldSince = 0
  var uploadPiece = 64 << 10
  var reads = 0
  var stall: Int32 = -1

  mutating func receiveBody() -> Int64 { 0 }
  func isClientBehind() -> Bool { false }
  var clientTimeoutMilliseconds: Int64 { 0 }
  mutating func clientTimedOut() {}
  mutating func makeSpoolFile() -> Int32 { -ENOSPC }
  mutating func spoolFailed(_ failure: SpoolFailure) {}
  mutating func readBody(into buffer: UnsafeMutableRawBufferPointer) -> BodyRead {
    reads += 1
    if uploadStalls { return .wouldWait }
    if heldSince < heldBack {
      heldSince += 1
      return .heldBack
    }
    heldSince = 0
    if uploaded == upload.count {
      if let uploadFailure { return .failed(uploadFailure) }
      return .end
    }
    let count = min(buffer.count, uploadPiece, upload.count - uploaded)
    upload.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[uploaded..<(uploaded + count)])) }
    uploaded += count
    return .bytes(count)
  }

  var bodyDescriptor: Int32 { stall }
  var bodyTimeoutMilliseconds: Int64 { 50 }

  mutating func begin(_ head: UnsafeRawBufferPointer) -> Bool {
    if refusesHead { return false }
    self.head = Array(head)
    return true
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    written += bytes.count
    if keepsBody { body.append(contentsOf: bytes) }
    return written < clientGoesAfter
  }

  mutating func end(_ bytes: UnsafeRawBufferPointer) -> Bool {
    endings.append(bytes.count)
    return write(bytes)
  }

  mutating func flush() -> Bool {
    flushes += 1
    return true
  }

  mutating func sendFile(_ file: consuming Descriptor, offset: Int64, length: Int64) -> Bool {
    var status = stat()
    _ = fstat(file.number, &status)
    self.file = SentFile(size: Int64(status.st_size), offset: offset, length: length)
    return true
  }

  mutating func log(level: LogLevel, file: UnsafeRawBufferPointer, line: UInt32, text: UnsafeRawBufferPointer) {
    logs.append("\(level.rawValue) \(String(decoding: file, as: UTF8.self)):\(line) \(String(decoding: text, as: UTF8.self))")
  }

  func isServed() -> Bool { served }
  mutating func requeued(attempt: UInt32) { requeues.append(attempt) }
}

extension FrameHeader {
  var encoded: [UInt8] {
    var raw = [UInt8](repeating: 0, count: FrameHeader.size)
    raw.withUnsafeMutableBytes { if let start = $0.baseAddress { encode(to: start) } }
    return raw
  }
}

/// Sends bytes and descriptors as one message; what sendmsg says.
func sendMessage(_ bytes: some Collection<UInt8>, _ descriptors: [Int32] = [], to socket: Int32, flags: Int32 = 0) -> Int {
  Array(bytes).withUnsafeBytes { raw in
    var part = iovec(iov_base: UnsafeMutableRawPointer(mutating: raw.baseAddress), iov_len: raw.count)
    return wsgi_posix_send(socket, &part, 1, descriptors, Int32(descriptors.count), flags)
  }
}

/// Whether the other end is closed, at last: a program that another test starts has copies of all descriptors for a moment.
func isLeft(_ descriptor: Int32) -> Bool {
  var entry = pollfd(fd: descriptor, events: 0, revents: 0)
  return poll(&entry, 1, 60_000) == 1
}

/// A file without a name.
func temporaryFile() -> Int32 {
  var name = Array("/tmp/transport-XXXXXX".utf8CString)
  let file = mkstemp(&name)
  unlink(name)
  return file
}

func bytes(_ count: Int) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
    var value: UInt8 = 1
    var index = 0
    while index < count {
      buffer[index] = value
      value = value &* 5 &+ 31
      index += 1
    }
    filled = count
  }
}

/// A small valid request head.
func requestHead(
  _ flags: RequestHead.Flags = .hasBody, environ: [(String, String)] = [("REQUEST_METHOD", "GET")]
) -> [UInt8] {
  var writer = RequestHeadWriter()
  let none = UnsafeRawBufferPointer(start: nil, count: 0)
  writer.begin(
    flags: flags, contentLength: -1, scriptModified: 0, requestStart: 1, queueStart: 0, processGroup: none,
    applicationGroup: none, script: none, callable: none)
  for (key, value) in environ { writer.writer.appendPair(key, value) }
  return Array(writer.finish(pairs: environ.count))
}

extension QueueReader {
  /// The next request, or nil when the queue ended.
  mutating func next(_ queue: Int32) -> (channel: Int32, envelope: QueueEnvelope)? {
    while true {
      switch receive(from: queue) {
      case .request(let channel, let envelope): return (channel, envelope)
      case .interrupted: continue
      case .ended, .malformed, .failed: return nil
      }
    }
  }
}

/// Runs one request against a scripted worker, which gets the queue's requests one by one, and joins it afterwards.
func converse(
  on kind: ChannelKind = .socket, flags: RequestHead.Flags? = nil, origin: inout RecordingOrigin,
  change: (inout GroupQueue) -> Void = { _ in },
  worker: @escaping @Sendable (inout ChannelServer, Int) -> Void
) throws -> DaemonOutcome {
  signal(SIGPIPE, SIG_IGN)
  let queue = try RequestQueue(backlog: 100)
  let readEnd = dup(queue.readEnd.number)
  let server = Background {
    var reader = QueueReader()
    var number = 0
    while let request = reader.next(readEnd) {
      var channel = ChannelServer(workerID: 77, socketTimeout: 2000)
      channel.open(request.channel, request.envelope.channelKind)
      number += 1
      worker(&channel, number)
      channel.close()
    }
    close(readEnd)
  }
  let book = try #require(RequestBook(rows: 1, children: 1))
  let row = try #require(book.row(0))
  var group = GroupQueue(row: row, writeEnd: queue.writeEnd.number)
  group.socketTimeout = 5000
  change(&group)
  var forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
  // A request with a body brings a socket pair.
  let head = requestHead(flags ?? (kind == .socket ? .hasBody : []))
  let outcome = head.withUnsafeBytes { forwarder.run($0, on: group, logLevel: .info, origin: &origin) }
  #expect(row.inFlightNow == 0)
  _ = consume queue
  server.join()
  book.unmap()
  return outcome
}
