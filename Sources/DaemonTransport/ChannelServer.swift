import CPosix
import Glibc
import WSGICore

/// Why the channel did not do what was asked; the raw values are `WSGI_IO_*` of engine.h.
public enum ChannelFailure: Int32, Error, Sendable {
  /// The httpd child has gone, or gave the request up.
  case closed = -1
  case timedOut = -2
  /// LimitRequestBody.
  case tooLarge = -3
  case failed = -4
  /// Nothing was taken, because that would have meant waiting.
  case wouldBlock = -5
  /// A head that is too large to cross.
  case badHead = -6
}

/// The worker's end of a request's channel. One per thread of a worker, kept between requests for its buffers; not safe to share.
public struct ChannelServer: ~Copyable {
  private var channel: Int32 = -1
  private var kind = ChannelKind.socket
  private let workerID: UInt32
  private let socketTimeout: Int64
  private var input = ChannelInput()
  /// What the channel did not take at once of bytes that were promised to be sent.
  private var pending: [UInt8] = []
  private var pendingSent = 0
  private var failure: ChannelFailure?
  private var hasWidened = false

  // The response's side.
  public private(set) var hasBegun = false
  public private(set) var hasEnded = false

  // The request body's side.
  private var hasAskedForBody = false
  private var bodyLeft = 0
  private var isLastBody = false
  private var bodyHasEnded = false
  private var bodyFailure: ChannelFailure?

  /// The most that is kept for the channel to take later; a piece of response that may be refused is smaller than that.
  private static let pendingLimit = 256 << 10
  private static let widePipe: Int32 = 256 << 10

  /// `socketTimeout` in milliseconds, 0: no limit. `workerID` is what the httpd child is told of who we are.
  public init(workerID: UInt32, socketTimeout: Int64) {
    self.workerID = workerID
    self.socketTimeout = socketTimeout
  }

  deinit { if channel >= 0 { _ = Glibc.close(channel) } }

  /// Starts on a new request, whose channel this now owns.
  public mutating func open(_ channel: Int32, _ kind: ChannelKind) {
    self.channel = channel
    self.kind = kind
    hasWidened = false
    failure = nil
    hasBegun = false
    hasEnded = false
    hasAskedForBody = false
    bodyLeft = 0
    isLastBody = false
    bodyHasEnded = false
    bodyFailure = nil
  }

  /// Ends the request: what is pending is sent, and the channel closed. Without an end of the response before, the child sees
  /// that the worker gave up.
  public mutating func close() {
    if !pending.isEmpty {
      _ = sendPending(wait: true)
      pending.removeAll(keepingCapacity: pending.capacity <= ChannelServer.pendingLimit)
      pendingSent = 0
    }
    _ = Glibc.close(channel)
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
  public func peerHasGone() -> Bool {
    waitUntilReady(channel, for: 0, milliseconds: 0).first & (POLLHUP | POLLERR) != 0
  }

  // MARK: - response

  public struct SendFlags: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let end = SendFlags(rawValue: 1)
    public static let flush = SendFlags(rawValue: 2)
    /// Fail rather than wait.
    public static let attempt = SendFlags(rawValue: 4)
  }

  /// Sends response bytes; the first call carries the head, later ones do not. Everything is taken, or nothing and it throws.
  public mutating func send(
    head: UnsafeRawBufferPointer?, body: UnsafeRawBufferPointer, flags: SendFlags
  ) throws(ChannelFailure) {
    try check(head)
    let mayWait = !flags.contains(.attempt)
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

  /// Sends a range of a regular file and ends the response. The descriptor stays the caller's.
  public mutating func sendFile(
    head: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64
  ) throws(ChannelFailure) {
    try check(head)
    guard kind == .socket else { return try streamFile(head: head, descriptor: descriptor, offset: offset, length: length) }
    var range = (offset, length)
    let header = FrameHeader(.file, head: head?.count ?? 0, data: FrameLimits.fileData, extra: workerID)
    var problem: ChannelFailure?
    withUnsafeBytes(of: &range) { bytes in
      do throws(ChannelFailure) {
        try transmit(header, head, bytes, wait: true, descriptor: descriptor)
      } catch {
        problem = error
      }
    }
    if let problem { throw problem }
    hasBegun = true
    hasEnded = true
  }

  /// The same on a channel that carries no descriptors: the file's bytes, which are not copied on their way into the pipe.
  private mutating func streamFile(
    head: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64
  ) throws(ChannelFailure) {
    var head = head
    var offset = offset
    var left = max(length, 0)
    repeat {
      let piece = min(left, Int64(FrameLimits.responseData))
      left -= piece
      let flags: FrameHeader.Flags = left == 0 ? [.end, .ofFile] : .ofFile
      let header = FrameHeader(
        head == nil ? .data : .response, flags: flags, head: head?.count ?? 0, data: Int(piece), extra: workerID)
      try transmit(header, head, UnsafeRawBufferPointer(start: nil, count: 0), wait: true)
      head = nil
      hasBegun = true
      try splice(descriptor, &offset, Int(piece))
    } while left > 0
    hasEnded = true
  }

  private mutating func splice(_ descriptor: Int32, _ offset: inout Int64, _ length: Int) throws(ChannelFailure) {
    var left = length
    while left > 0 {
      let count = wsgi_posix_splice(descriptor, &offset, channel, left)
      if count > 0 {
        left -= count
      } else if count == -Int(EAGAIN) {
        try waitForRoom()
      } else if count == -Int(EINVAL) {
        left -= try copy(descriptor, &offset, left)
      } else {
        // Shorter than it was said to be, or the child has gone: the frame cannot be completed.
        failure = count == 0 ? .failed : .closed
        throw failure ?? .failed
      }
    }
  }

  /// For files of systems that cannot splice.
  private mutating func copy(_ descriptor: Int32, _ offset: inout Int64, _ length: Int) throws(ChannelFailure) -> Int {
    let capacity = min(length, 64 << 10)
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    defer { buffer.deallocate() }
    let count = pread(descriptor, buffer, capacity, off_t(offset))
    guard count > 0 else {
      failure = .failed
      throw .failed
    }
    var done = 0
    while done < count {
      var part = iovec(iov_base: buffer + done, iov_len: count - done)
      let written = wsgi_posix_write(channel, &part, 1)
      if written >= 0 {
        done += written
      } else if written == -Int(EAGAIN) {
        try waitForRoom()
      } else {
        failure = .closed
        throw .closed
      }
    }
    offset += Int64(count)
    return count
  }

  private func check(_ head: UnsafeRawBufferPointer?) throws(ChannelFailure) {
    if let failure { throw failure }
    guard !hasEnded, hasBegun == (head == nil) else { throw .failed }
    if let head, head.count > FrameLimits.responseHead || head.isEmpty { throw .badHead }
  }

  // MARK: - other frames

  /// Passes a log record to the child. Never waits: false when the channel is gone or full, and the record is still the caller's.
  public mutating func log(
    level: Int32, file: UnsafeRawBufferPointer, line: UInt32, text: UnsafeRawBufferPointer
  ) -> Bool {
    guard failure == nil, !hasEnded else { return false }
    let file = UnsafeRawBufferPointer(rebasing: file.prefix(FrameLimits.name))
    let text = UnsafeRawBufferPointer(rebasing: text.prefix(FrameLimits.logText))
    var header = FrameHeader(.log, head: file.count, data: text.count, extra: line)
    header.flags = FrameHeader.Flags(rawValue: UInt8(clamping: max(0, min(level, 15))))
    do throws(ChannelFailure) {
      try transmit(header, file, text, wait: false)
      return true
    } catch {
      return false
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

  // MARK: - sending

  /// Sends one frame. With `wait` false it throws `wouldBlock` when nothing of it could be sent; a remainder is kept, and sent
  /// before anything else.
  private mutating func transmit(
    _ header: FrameHeader, _ head: UnsafeRawBufferPointer?, _ data: UnsafeRawBufferPointer, wait: Bool, descriptor: Int32 = -1
  ) throws(ChannelFailure) {
    if !pending.isEmpty { try sendPending(wait: wait).get() }
    let total = FrameHeader.size + (head?.count ?? 0) + data.count
    var descriptor = descriptor
    var done = 0
    while done < total {
      let count = sendParts(header, head, data, from: done, &descriptor)
      if count >= 0 {
        done += count
        // The first byte took the descriptor along.
        descriptor = -1
      } else if count == -Int(EBADF), done == 0 {
        // The application closed the file meanwhile.
        throw .failed
      } else if count != -Int(EAGAIN) && count != -Int(ETOOMANYREFS) {
        failure = .closed
        throw .closed
      } else if wait {
        if count == -Int(ETOOMANYREFS) { _ = waitUntilReady(-1, for: 0, milliseconds: 10) }
        try waitForRoom()
      } else {
        if done == 0 { throw .wouldBlock }
        keep(header, head, data, from: done)
        return
      }
    }
  }

  @inline(__always)
  private func sendParts(
    _ header: FrameHeader, _ head: UnsafeRawBufferPointer?, _ data: UnsafeRawBufferPointer, from done: Int,
    _ descriptor: inout Int32
  ) -> Int {
    withUnsafeTemporaryAllocation(byteCount: FrameHeader.size, alignment: 16) { fixed in
      guard let start = fixed.baseAddress else { return -Int(EPIPE) }
      header.encode(to: start)
      var skip = done
      var parts = (
        part(UnsafeRawBufferPointer(fixed), &skip), part(head, &skip), part(data, &skip)
      )
      return withUnsafeBytes(of: &parts) { list in
        guard let first = list.bindMemory(to: iovec.self).baseAddress else { return -Int(EPIPE) }
        if kind == .pipe { return wsgi_posix_write(channel, first, 3) }
        return wsgi_posix_send(channel, first, 3, &descriptor, descriptor >= 0 ? 1 : 0, Int32(MSG_DONTWAIT))
      }
    }
  }

  /// What is left of a part when `skip` bytes before its end are done.
  @inline(__always)
  private func part(_ bytes: UnsafeRawBufferPointer?, _ skip: inout Int) -> iovec {
    guard let bytes, let start = bytes.baseAddress else { return iovec(iov_base: nil, iov_len: 0) }
    let skipped = min(skip, bytes.count)
    skip -= skipped
    return iovec(iov_base: UnsafeMutableRawPointer(mutating: start + skipped), iov_len: bytes.count - skipped)
  }

  @inline(never)
  private mutating func keep(
    _ header: FrameHeader, _ head: UnsafeRawBufferPointer?, _ data: UnsafeRawBufferPointer, from done: Int
  ) {
    var skip = done
    withUnsafeTemporaryAllocation(byteCount: FrameHeader.size, alignment: 16) { fixed in
      guard let start = fixed.baseAddress else { return }
      header.encode(to: start)
      for bytes in [UnsafeRawBufferPointer(fixed), head ?? UnsafeRawBufferPointer(start: nil, count: 0), data] {
        let skipped = min(skip, bytes.count)
        skip -= skipped
        pending.append(contentsOf: bytes.dropFirst(skipped))
      }
    }
  }

  @inline(never)
  private mutating func sendPending(wait: Bool) -> Result<Void, ChannelFailure> {
    while pendingSent < pending.count {
      let count = pending.withUnsafeBytes { bytes in
        var part = iovec(
          iov_base: bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + pendingSent) },
          iov_len: bytes.count - pendingSent)
        if kind == .pipe { return wsgi_posix_write(channel, &part, 1) }
        return wsgi_posix_send(channel, &part, 1, nil, 0, Int32(MSG_DONTWAIT))
      }
      if count >= 0 {
        pendingSent += count
      } else if count != -Int(EAGAIN) {
        failure = .closed
        return .failure(.closed)
      } else if !wait {
        return .failure(.wouldBlock)
      } else {
        do throws(ChannelFailure) { try waitForRoom() } catch { return .failure(error) }
      }
    }
    pending.removeAll(keepingCapacity: true)
    pendingSent = 0
    return .success(())
  }

  /// Waits until the channel takes more. A child that reads, however slowly its client lets it, is never too slow: the time that
  /// counts is that in which it took nothing at all.
  private mutating func waitForRoom() throws(ChannelFailure) {
    if kind == .pipe, !hasWidened {
      // A response that does not fit in one go: as much room as a socket would have.
      hasWidened = true
      wsgi_posix_pipe_size(channel, ChannelServer.widePipe)
      return
    }
    var unread = wsgi_posix_unread(channel)
    var since = monotonicMilliseconds()
    while true {
      let slice = socketTimeout > 0 ? min(1000, socketTimeout) : 1000
      if waitUntilReady(channel, for: writable, milliseconds: slice).first != 0 { return }
      let now = monotonicMilliseconds()
      let left = wsgi_posix_unread(channel)
      if left != unread {
        unread = left
        since = now
      } else if socketTimeout > 0, now &- since >= socketTimeout {
        failure = .timedOut
        throw .timedOut
      }
    }
  }

  // MARK: - request body

  /// Reads up to `buffer.count` bytes of the request body; 0 at its end. Waits until at least one is there. The first call asks
  /// the child for the body.
  public mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws(ChannelFailure) -> Int {
    if let bodyFailure { throw bodyFailure }
    if bodyHasEnded || kind == .pipe { return 0 }
    guard let start = buffer.baseAddress, !buffer.isEmpty else { return 0 }
    do throws(ChannelFailure) {
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

  private mutating func askForBody() throws(ChannelFailure) {
    hasAskedForBody = true
    if let failure { throw failure }
    if hasEnded { throw .closed }
    if socketTimeout > 0 { _ = wsgi_posix_receive_timeout(channel, socketTimeout) }
    try transmit(FrameHeader(.wantBody, extra: workerID), nil, UnsafeRawBufferPointer(start: nil, count: 0), wait: true)
  }

  /// Reads the header of the next frame. Before a large read nothing but the header is taken, so that the bytes go straight
  /// to where they are wanted.
  private mutating func nextBodyFrame(most: Int) throws(ChannelFailure) {
    while input.count < FrameHeader.size {
      let wanted = most >= 4096 ? FrameHeader.size - input.count : Int.max
      input.makeRoom(for: FrameHeader.size)
      switch input.receive(from: channel, wait: true, most: wanted) {
      case .bytes: continue
      case .nothingYet: throw .timedOut
      case .ended: throw .closed
      case .strayDescriptor: throw .failed
      }
    }
    guard let header = try? FrameHeader(decoding: input.bytes, from: .child) else { throw .failed }
    input.drop(FrameHeader.size)
    if header.kind == .bodyFailed {
      switch BodyFailure(rawValue: header.extra) {
      case .closed: throw .closed
      case .timedOut: throw .timedOut
      case .tooLarge: throw .tooLarge
      case .failed, nil: throw .failed
      }
    }
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

  private func receiveDirectly(_ start: UnsafeMutableRawPointer, _ capacity: Int) throws(ChannelFailure) -> Int {
    while true {
      let count = recv(channel, start, capacity, 0)
      if count > 0 { return count }
      if count == 0 { throw .closed }
      switch errno {
      case EINTR: continue
      case EAGAIN: throw .timedOut
      default: throw .closed
      }
    }
  }
}
