import CPosix
import Glibc
import Platform
import WSGICore

/// The worker's end of a request's channel. One per thread of a worker, kept between requests for its buffers; not safe to share.
public struct ChannelServer: ~Copyable {
  var channel: Int32 = -1
  var kind = ChannelKind.socket
  var takesDescriptors = true
  let workerID: UInt32
  let socketTimeout: Int64
  var input = ChannelInput()
  /// Bytes that were promised to be sent and that the channel did not take at once.
  var pending: [UInt8] = []
  var pendingSent = 0
  var failure: ExchangeFailure?
  private var logsAreSlow = false

  // The response's side.
  public internal(set) var hasBegun = false
  public internal(set) var hasEnded = false

  // The request body's side.
  var hasAskedForBody = false
  var bodyLeft = 0
  var isLastBody = false
  var bodyHasEnded = false
  var bodyFailure: ExchangeFailure?

  /// The most that is kept for the channel to take later; a piece of response that may be refused is smaller than that.
  static let pendingLimit = 256 << 10

  /// `socketTimeout` in milliseconds, 0: no limit. `workerID` is what the httpd child is told of who we are.
  public init(workerID: UInt32, socketTimeout: Int64) {
    self.workerID = workerID
    self.socketTimeout = socketTimeout
  }

  deinit { if channel >= 0 { ChannelServer.giveUp(channel) } }

  /// Starts on a new request, whose channel this now owns.
  public mutating func open(_ channel: Int32, _ kind: ChannelKind, takesDescriptors: Bool = true) {
    self.channel = channel
    self.kind = kind
    logsAreSlow = false
    self.takesDescriptors = takesDescriptors && kind == .socket
    failure = nil
    hasBegun = false
    hasEnded = false
    hasAskedForBody = false
    bodyLeft = 0
    isLastBody = false
    bodyHasEnded = false
    bodyFailure = nil
  }

  /// Closes a channel on which nothing more comes, in a way that shows: that the worker's end is closed does not, as long as the
  /// child holds it as well.
  static func giveUp(_ channel: Int32) {
    _ = shutdown(channel, Int32(SHUT_RDWR))
    _ = Glibc.close(channel)
  }

  /// Ends the request: what is pending is sent, and the channel closed. Without an end of the response before, the child sees
  /// that the worker gave up.
  public mutating func close() {
    if !pending.isEmpty {
      try? sendPending(wait: true)
      pending.removeAll(keepingCapacity: pending.capacity <= ChannelServer.pendingLimit)
      pendingSent = 0
    }
    if hasEnded, failure == nil { _ = Glibc.close(channel) } else { ChannelServer.giveUp(channel) }
    channel = -1
    input.reset()
  }

  /// Gives the channel up as if nothing had happened on it: the caller owns it. nil when something was sent already.
  public mutating func detach() -> Int32? {
    guard failure == nil, pending.isEmpty, !hasBegun, !hasEnded, !hasAskedForBody else { return nil }
    let descriptor = channel
    channel = -1
    return descriptor
  }

  /// Whether the child gave the request up already. A system call: for requests that waited long.
  public func peerHasGone() -> Bool { waitUntilReady(channel, for: 0, milliseconds: 0).first & (POLLHUP | POLLERR) != 0 }

  // MARK: - response

  /// Sends response bytes; the first call carries the head, later ones do not. Everything is taken, or nothing and it throws.
  public mutating func send(
    head: UnsafeRawBufferPointer?, body: UnsafeRawBufferPointer, flags: SendFlags
  ) throws(ExchangeFailure) {
    try check(head)
    let mayWait = !flags.contains(.tryOnly)
    if !mayWait {
      guard body.count + (head?.count ?? 0) <= ChannelServer.pendingLimit else { throw .wouldBlock }
    }
    var head = head
    var rest = body
    repeat {
      let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(FrameLimits.responseData))
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(piece.count))
      var frameFlags: FrameHeader.Flags = []
      if rest.isEmpty {
        if flags.contains(.end) { frameFlags.insert(.end) }
        if flags.contains(.flush) { frameFlags.insert(.flush) }
      }
      let header = FrameHeader(
        head == nil ? .data : .response, flags: frameFlags, head: head?.count ?? 0, data: piece.count, extra: workerID)
      try transmit(header, head, piece, wait: mayWait)
      head = nil
      hasBegun = true
    } while !rest.isEmpty
    if flags.contains(.end) { hasEnded = true }
  }

  func check(_ head: UnsafeRawBufferPointer?) throws(ExchangeFailure) {
    if let failure { throw failure }
    guard !hasEnded, hasBegun == (head == nil) else { throw .failed }
    if let head, head.count > FrameLimits.responseHead || head.isEmpty { throw .badHead }
  }

  // MARK: - other frames

  /// How long records wait, once a request, for a child that reads too slowly; in milliseconds.
  private static let logPatience: Int64 = 250

  /// Passes a log record to the child: false when the channel is gone or full, and the record is still the caller's. A child
  /// reads at once, so that there is room in no time, unless its client keeps it: that is found out once.
  public mutating func log(level: LogLevel, file: UnsafeRawBufferPointer, line: UInt32, text: UnsafeRawBufferPointer) -> Bool {
    guard failure == nil, !hasEnded else { return false }
    let file = UnsafeRawBufferPointer(rebasing: file.prefix(FrameLimits.name))
    let text = UnsafeRawBufferPointer(rebasing: text.prefix(LogPieces.limit))
    let flags = FrameHeader.Flags(rawValue: UInt8(clamping: level.rawValue))
    let header = FrameHeader(.log, flags: flags, head: file.count, data: text.count, extra: line)
    var deadline: Int64?
    while true {
      do throws(ExchangeFailure) {
        try transmit(header, file, text, wait: false)
        return true
      } catch {
        guard error == .wouldBlock, !logsAreSlow else { return false }
        let now = Clock.monotonicMilliseconds()
        let end = deadline ?? now &+ ChannelServer.logPatience
        deadline = end
        if now < end, waitUntilReady(channel, for: writable, milliseconds: end &- now).first != 0 { continue }
        logsAreSlow = true
        return false
      }
    }
  }

  /// The request has left the queue.
  public mutating func announce() { control(.taken, extra: workerID) }

  /// The request was not run here, and is to be queued again.
  public mutating func handBack() {
    control(.stale, extra: 0)
    hasEnded = true
  }

  /// Nothing was sent: the child answers with `status`.
  public mutating func fail(status: Int32) {
    guard !hasBegun else { return abort() }
    control(.failed, extra: UInt32(clamping: status))
    hasEnded = true
  }

  /// The response cannot be completed.
  public mutating func abort() {
    guard hasBegun else { return fail(status: 500) }
    guard !hasEnded else { return }
    control(.aborted, extra: workerID)
    hasEnded = true
  }

  private mutating func control(_ kind: FrameKind, extra: UInt32) {
    guard failure == nil, !hasEnded else { return }
    try? transmit(FrameHeader(kind, extra: extra), nil, UnsafeRawBufferPointer(start: nil, count: 0), wait: true)
  }
}

// MARK: - the request's body, which is asked for when the application reads it

extension ChannelServer {
  /// Reads up to `buffer.count` bytes of the request body; 0 at its end. Waits until at least one is there. The first call asks
  /// the child for the body.
  public mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws(ExchangeFailure) -> Int {
    if let bodyFailure { throw bodyFailure }
    if bodyHasEnded || kind == .plain { return 0 }
    guard let start = buffer.baseAddress, !buffer.isEmpty else { return 0 }
    do throws(ExchangeFailure) {
      if !hasAskedForBody { try askForBody() }
      while bodyLeft == 0 {
        try nextBodyFrame(most: buffer.count)
        if bodyHasEnded { return 0 }
      }
      let count = input.count > 0 ? takeBuffered(start, buffer.count) : try receiveDirectly(start, min(buffer.count, bodyLeft))
      bodyLeft -= count
      if bodyLeft == 0, isLastBody { bodyHasEnded = true }
      return count
    } catch {
      bodyFailure = error
      throw error
    }
  }

  private mutating func askForBody() throws(ExchangeFailure) {
    hasAskedForBody = true
    if let failure { throw failure }
    if hasEnded { throw .closed }
    if socketTimeout > 0 { _ = wsgi_posix_receive_timeout(channel, socketTimeout) }
    try transmit(FrameHeader(.wantBody, extra: workerID), nil, UnsafeRawBufferPointer(start: nil, count: 0), wait: true)
  }

  /// Reads the header of the next frame. Before a large read nothing but the header is taken, so that the bytes go straight
  /// to where they are wanted.
  private mutating func nextBodyFrame(most: Int) throws(ExchangeFailure) {
    while input.count < FrameHeader.size {
      let wanted = most >= 4096 ? FrameHeader.size - input.count : Int.max
      input.makeRoom(for: FrameHeader.size)
      switch input.receive(from: channel, wait: true, most: wanted) {
      case .bytes: continue
      case .nothingYet: throw .timedOut
      case .ended: throw .closed
      case .strayDescriptor, .clientGone: throw .failed
      }
    }
    guard let header = try? FrameHeader(decoding: input.bytes, from: .child) else { throw .failed }
    input.drop(FrameHeader.size)
    if header.kind == .bodyFailed { throw ExchangeFailure(code: -Int64(header.extra)) }
    bodyLeft = Int(header.dataLength)
    isLastBody = header.flags.contains(.end)
    if bodyLeft == 0, isLastBody { bodyHasEnded = true }
  }

  private mutating func takeBuffered(_ start: UnsafeMutableRawPointer, _ capacity: Int) -> Int {
    let count = min(capacity, bodyLeft, input.count)
    start.copyMemory(from: input.bytes, byteCount: count)
    input.drop(count)
    return count
  }

  private func receiveDirectly(_ start: UnsafeMutableRawPointer, _ capacity: Int) throws(ExchangeFailure) -> Int {
    let count = systemCall { recv(channel, start, capacity, 0) }
    if count > 0 { return count }
    throw count == -Int(EAGAIN) ? .timedOut : .closed
  }
}
