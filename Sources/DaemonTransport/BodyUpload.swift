import CPosix
import Glibc
import Platform
import WSGICore

/// The request body's way from the client to the worker: nothing is read before the application asks, and then as much as the
/// worker takes.
struct BodyUpload: ~Copyable {
  private enum State {
    case unwanted
    case active
    case finished
  }

  static let chunk = 64 << 10

  private var state = State.unwanted
  /// A frame header and its bytes; made when a thread sends its first body.
  private var buffer: UnsafeMutableRawPointer?
  private var sent = 0
  private var filled = 0
  private var isLast = false
  /// The last read brought bytes that the host keeps for now: the next need not wait for the client.
  private(set) var isHeldBack = false

  deinit { buffer?.deallocate() }

  mutating func reset() {
    state = .unwanted
    sent = 0
    filled = 0
    isLast = false
    isHeldBack = false
  }

  /// There may be more to send.
  var isActive: Bool { state == .active }
  var wasWanted: Bool { state != .unwanted }

  /// The worker asked for the body; false when it had done so before.
  mutating func want() -> Bool {
    guard state == .unwanted else { return false }
    state = .active
    return true
  }

  /// Something read from the client waits to be taken by the worker.
  var hasPending: Bool { sent < filled }

  mutating func stop() { state = .finished }

  private mutating func room() -> UnsafeMutableRawPointer {
    if let buffer { return buffer }
    let made = UnsafeMutableRawPointer.allocate(byteCount: FrameHeader.size + BodyUpload.chunk, alignment: 16)
    buffer = made
    return made
  }

  private mutating func fill(_ header: FrameHeader, bytes: Int, last: Bool) {
    header.encode(to: room())
    sent = 0
    filled = FrameHeader.size + bytes
    isLast = last
  }

  mutating func fail(_ failure: ExchangeFailure) {
    fill(FrameHeader(.bodyFailed, extra: failure.rawValue.magnitude), bytes: 0, last: true)
  }

  /// Gets the next piece from the client; false when none is there now.
  mutating func readNext<Origin: RequestOrigin & ~Copyable>(origin: inout Origin) -> Bool {
    let space = UnsafeMutableRawBufferPointer(start: room() + FrameHeader.size, count: BodyUpload.chunk)
    isHeldBack = false
    switch origin.readBody(into: space) {
    case .bytes(let count):
      guard count > 0, count <= BodyUpload.chunk else { return false }
      fill(FrameHeader(.body, data: count), bytes: count, last: false)
    case .end: fill(FrameHeader(.body, flags: .end), bytes: 0, last: true)
    case .failed(let failure): fail(failure)
    case .wouldWait: return false
    case .heldBack:
      isHeldBack = true
      return false
    }
    return true
  }

  /// Sends what the channel takes of what is pending; false when it takes nothing now.
  mutating func send(to channel: Int32) -> Bool {
    var part = iovec(iov_base: room() + sent, iov_len: filled - sent)
    let count = wsgi_posix_send(channel, &part, 1, nil, 0, Int32(MSG_DONTWAIT))
    if count == -Int(EAGAIN) { return false }
    if count < 0 {
      // The worker closed the channel. What it sent before is still to be read, and says how the request ended.
      stop()
      return true
    }
    sent += count
    if sent == filled, isLast { stop() }
    return true
  }
}

extension RequestForwarder {
  /// While the body is on its way, both sides are served: whichever of client and worker has something, until the worker has
  /// sent bytes. So an application may answer before it has read everything, and neither side waits for the other for ever.
  mutating func exchangeBody<Origin: RequestOrigin & ~Copyable>(
    _ reader: inout ResponseReader, origin: inout Origin
  ) -> ChannelInput.Received {
    guard catchUp(&reader, origin: &origin) else { return .clientGone }
    var lastProgress = Clock.monotonicMilliseconds()
    var needsClient = false
    while upload.isActive {
      if !upload.hasPending { needsClient = !upload.readNext(origin: &origin) }
      if upload.isHeldBack { lastProgress = Clock.monotonicMilliseconds() }
      if upload.hasPending, upload.send(to: reader.channel) {
        lastProgress = Clock.monotonicMilliseconds()
        if !upload.hasPending { continue }
      }
      let received = input.receive(from: reader.channel, wait: false, most: reader.appetite)
      if received != .nothingYet { return received }
      if !upload.isActive { break }
      let now = Clock.monotonicMilliseconds()
      if let deadline = reader.flushDeadline, deadline <= now {
        guard flush(&reader, origin: &origin) else { return .clientGone }
      }
      let limit = needsClient ? origin.bodyTimeoutMilliseconds : reader.group.socketTimeout
      if limit > 0, now &- lastProgress >= limit {
        guard needsClient else { return .nothingYet }
        upload.fail(.timedOut)
        needsClient = false
        lastProgress = now
        continue
      }
      pause(reader, needsClient: needsClient, origin: &origin)
    }
    // The body is complete: from here the worker alone has something to say.
    return .bytes
  }

  /// Waits for whichever side comes first. Never long: a filter of httpd that limits the rate of a body is only asked while
  /// the body is read.
  private func pause<Origin: RequestOrigin & ~Copyable>(_ reader: ResponseReader, needsClient: Bool, origin: inout Origin) {
    var longest: Int64 = 1000
    var client: Int32 = -1
    if needsClient {
      client = origin.bodyDescriptor
      if client < 0 { longest = 5 }
      if upload.isHeldBack { longest = 0 }
    }
    if let deadline = reader.flushDeadline { longest = min(longest, max(0, deadline &- Clock.monotonicMilliseconds())) }
    let events = readable | (upload.hasPending ? writable : 0)
    _ = waitUntilReady(reader.channel, for: events, or: client, for: readable, milliseconds: longest)
  }
}
