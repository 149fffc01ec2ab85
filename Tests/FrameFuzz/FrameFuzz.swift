import CPosix
import Glibc
import Platform
import RequestCounting
import WSGICore

@testable import DaemonTransport

// Three readers of bytes that a less trusted process wrote, under libFuzzer (`make fuzz`): the httpd child's reader of a worker's
// frames, the worker's of a child's, and the worker's of the queue. The first byte says which, and how the bytes are cut.

/// A origin that does what it is asked, and holds what it was promised.
private struct Origin: RequestOrigin {
  var hasBegun = false
  var left = 1000

  mutating func receiveBody() -> Int64 { 0 }
  func isClientBehind() -> Bool { false }
  var clientTimeoutMilliseconds: Int64 { 0 }
  mutating func clientTimedOut() {}
  mutating func makeSpoolFile() -> Int32 { -ENOSPC }
  mutating func spoolFailed(_ failure: SpoolFailure) {}
  mutating func readBody(into buffer: UnsafeMutableRawBufferPointer) -> BodyRead {
    guard left > 0 else { return .end }
    left -= 100
    return .bytes(100)
  }

  var bodyDescriptor: Int32 { -1 }
  var bodyTimeoutMilliseconds: Int64 { 1000 }

  mutating func begin(_ head: UnsafeRawBufferPointer) -> Bool {
    precondition(!hasBegun && head.count <= FrameLimits.responseHead, "a second head, or one too long")
    hasBegun = true
    guard let response = try? ResponseHead(decoding: head) else { return false }
    do throws(FlatFailure) { return try response.objection() == nil } catch { return false }
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    precondition(hasBegun, "a body without a head")
    return true
  }

  mutating func end(_ bytes: UnsafeRawBufferPointer) -> Bool { write(bytes) }
  mutating func flush() -> Bool { true }

  mutating func sendFile(_ file: consuming Descriptor, offset: Int64, length: Int64) -> Bool {
    let size = wsgi_posix_readable_size(file.number)
    precondition(hasBegun && offset >= 0 && length >= 0 && offset + length <= size, "a range outside its file")
    return true
  }

  mutating func log(level: LogLevel, file: UnsafeRawBufferPointer, line: UInt32, text: UnsafeRawBufferPointer) {
    precondition(text.count <= LogPieces.limit && file.count <= FrameLimits.name, "a record too long")
  }

  func isServed() -> Bool { true }
  mutating func requeued(attempt: UInt32) {}
}

/// Plays the worker on a thread of its own: every request gets the bytes that are set.
private final class Worker: @unchecked Sendable {
  let queue: RequestQueue
  private(set) var forwarder: RequestForwarder
  private let file: Int32
  let row: RequestBook.Row
  // Only written between requests.
  var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
  var piece = 1
  var passed: Int32 = 0

  init?() {
    guard let queue = try? RequestQueue(backlog: 10), let book = RequestBook(rows: 1, children: 1), let row = book.row(0) else {
      return nil
    }
    self.row = row
    self.queue = queue
    forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
    var name = Array("/tmp/frame-fuzz-XXXXXX".utf8CString)
    file = mkstemp(&name)
    unlink(name)
    ftruncate(file, 100_000)
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<Worker>.fromOpaque(context).takeUnretainedValue().serve() }
        return nil
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  private func serve() {
    var reader = QueueReader()
    while true {
      guard case .request(let channel, let envelope) = reader.receive(from: queue.readEnd.number) else { continue }
      // The child may be done with it, and the next input be set, before everything is written.
      Array(bytes).withUnsafeBytes { write($0, to: channel, envelope.channelKind, piece: piece, passed: passed) }
      close(channel)
    }
  }

  private func write(
    _ bytes: UnsafeRawBufferPointer, to channel: Int32, _ kind: ChannelKind, piece: Int, passed: Int32
  ) {
    var sent = 0
    while sent < bytes.count {
      let count = min(piece, bytes.count - sent)
      var part = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress.map { $0 + sent }), iov_len: count)
      var descriptors = (file, file)
      // A plain channel carries none.
      let carried = sent == 0 && kind == .socket ? passed : 0
      let result = withUnsafeBytes(of: &descriptors) {
        wsgi_posix_send(channel, &part, 1, $0.bindMemory(to: Int32.self).baseAddress, carried, 0)
      }
      if result == -Int(EAGAIN) { continue }
      if result <= 0 { return }
      sent += result
    }
  }

  func run(_ head: [UInt8]) {
    var endpoint = GroupQueue(row: row, writeEnd: queue.writeEnd.number)
    endpoint.attempts = 2
    endpoint.flushDelay = 0
    endpoint.socketTimeout = 10_000
    var origin = Origin()
    let outcome = head.withUnsafeBytes { forwarder.run($0, on: endpoint, logLevel: LogLevel(clamping: 15), origin: &origin) }
    precondition(outcome != .failed(.timedOut), "still waiting when the worker had gone")
  }
}

private let worker: Worker? = {
  signal(SIGPIPE, SIG_IGN)
  return Worker()
}()
private let heads: [[UInt8]] = [RequestHead.Flags(), .hasBody].map { flags in
  var writer = RequestHeadWriter()
  let none = UnsafeRawBufferPointer(start: nil, count: 0)
  writer.begin(
    flags: flags, contentLength: -1, scriptModified: 0, requestStart: 0, queueStart: 0, processGroup: none,
    applicationGroup: none,
    script: none, callable: none)
  return Array(writer.finish(pairs: 0))
}

private func pair() -> (Int32, Int32)? {
  var ends: [Int32] = [-1, -1]
  return wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) == 0 ? (ends[0], ends[1]) : nil
}

/// What a child sends while an application reads.
private func readBody(_ bytes: UnsafeRawBufferPointer, capacity: Int) {
  guard let (child, far) = pair() else { return }
  send(child, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT))
  shutdown(child, Int32(SHUT_WR))
  var channel = ChannelServer(workerID: 1, socketTimeout: 1000)
  channel.open(far, .socket)
  var total = 0
  withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 1) { buffer in
    while let count = try? channel.read(into: buffer), count > 0 { total += count }
  }
  precondition(total <= bytes.count, "more than was sent")
  channel.close()
  close(child)
}

/// A message in the queue.
private func readQueue(_ bytes: UnsafeRawBufferPointer, descriptors: Int32) {
  guard let queue = try? RequestQueue(backlog: 1), let (child, far) = pair() else { return }
  var part = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
  var passed = (far, far)
  _ = withUnsafeBytes(of: &passed) {
    wsgi_posix_send(queue.writeEnd.number, &part, 1, $0.bindMemory(to: Int32.self).baseAddress, descriptors, Int32(MSG_DONTWAIT))
  }
  close(far)
  var reader = QueueReader()
  if waitUntilReady(queue.readEnd.number, for: readable, milliseconds: 0).first != 0,
    case .request(let channel, _) = reader.receive(from: queue.readEnd.number)
  {
    if let head = try? RequestHead(decoding: reader.head) {
      var environ = head.environ
      for _ in 0..<head.pairCount { guard (try? environ.readPair()) != nil else { break } }
    }
    close(channel)
  }
  close(child)
}

private let readsQueueAlone = getenv("WSGI_FUZZ_TARGET").map { strcmp($0, "queue") == 0 } ?? false

/// One input of the fuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  guard let start, count > 1, let worker else { return 0 }
  let choice = Int(start[0]) | (readsQueueAlone ? 3 : 0)
  let bytes = UnsafeRawBufferPointer(start: start + 1, count: count - 1)
  switch choice & 3 {
  case 0, 1:
    worker.bytes = bytes
    worker.piece = [1 << 20, 1, 7, 100][choice >> 2 & 3]
    worker.passed = Int32(choice >> 4 & 3) % 3
    worker.run(heads[choice & 1])
  case 2: readBody(bytes, capacity: [1, 100, 4096, 1 << 17][choice >> 2 & 3])
  default: readQueue(bytes, descriptors: Int32(choice >> 2 & 3) % 3)
  }
  return 0
}
