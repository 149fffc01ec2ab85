import CPosix
import Platform
import WSGICore

/// Where the exchange of one request with its worker stands.
struct ResponseReader {
  let channel: Int32
  let kind: ChannelKind
  let group: GroupQueue
  /// The client asks for ranges.
  let wantsRanges: Bool
  /// Where the channel does not tell that the worker has gone.
  let watch: OwnerWatch?
  /// The response is, or comes from, a file.
  var sendsFile = false
  /// The response head was given to the host.
  var begun = false
  /// Bytes of the current frame's data that are still to come, and what the frame wants done behind them.
  var dataLeft = 0
  var dataFlags: FrameHeader.Flags = []
  /// When what was written must be flushed; nil: nothing to flush.
  var flushDeadline: Int64?
  /// It was due, and the client did not keep up.
  var owesFlush = false
  /// There was no room for what a slow client has not taken: from then on the worker waits for it.
  var hasNoRoom = false
  var sinceFlush = 0
  /// The most to take from the channel at a time.
  var appetite = ChannelInput.ordinarySize
  /// As the worker says, for the log only.
  var workerID: UInt32 = 0

  func ended(_ failure: DaemonFailure) -> RequestForwarder.Attempt { .ended(begun ? .cut(failure) : .failed(failure)) }
}

extension RequestForwarder {
  private enum Step {
    /// So many bytes must lie in one piece to go on.
    case needs(Int)
    case attempt(Attempt)
  }

  /// Reads frames and does what they say until the request is over.
  mutating func readResponse<Origin: RequestOrigin & ~Copyable>(_ reader: inout ResponseReader, origin: inout Origin) -> Attempt {
    let attempt = readFrames(&reader, origin: &origin)
    guard spool.isUsed else { return attempt }
    defer { spool.reset() }
    // The worker has done its work; what came before a response was cut is the client's, too.
    switch attempt {
    case .ended(.done), .ended(.cut): return sendAll(origin: &origin) ? attempt : .ended(.clientGone)
    default: return attempt
    }
  }

  private mutating func readFrames<Origin: RequestOrigin & ~Copyable>(
    _ reader: inout ResponseReader, origin: inout Origin
  ) -> Attempt {
    while true {
      do {
        switch try take(&reader, origin: &origin) {
        case .attempt(let attempt): return attempt
        case .needs(let bytes): input.makeRoom(for: bytes)
        }
      } catch {
        return reader.ended(.protocolViolation(error))
      }
      switch upload.isActive ? exchangeBody(&reader, origin: &origin) : receive(&reader, origin: &origin) {
      case .bytes: continue
      case .nothingYet: return reader.ended(.timedOut)
      case .ended: return reader.ended(.workerEnded(pid: reader.workerID))
      case .strayDescriptor: return reader.ended(.protocolViolation(.badDescriptor))
      case .clientGone: return .ended(.clientGone)
      }
    }
  }

  // MARK: frames

  /// Uses up what lies in the input.
  private mutating func take<Origin: RequestOrigin & ~Copyable>(
    _ reader: inout ResponseReader, origin: inout Origin
  ) throws(FrameFailure) -> Step {
    while true {
      if reader.dataLeft > 0 {
        if input.count == 0 { return .needs(1) }
        if let step = passData(&reader, origin: &origin) { return step }
        continue
      }
      guard input.count >= FrameHeader.size else { return .needs(FrameHeader.size) }
      let header = try FrameHeader(decoding: input.bytes, from: .worker)
      if let step = try begin(header, &reader, origin: &origin) { return step }
    }
  }

  /// Starts on a frame; nil: go on with the next bytes.
  @inline(__always)
  private mutating func begin<Origin: RequestOrigin & ~Copyable>(
    _ header: FrameHeader, _ reader: inout ResponseReader, origin: inout Origin
  ) throws(FrameFailure) -> Step? {
    switch header.kind {
    case .response:
      guard !reader.begun, header.headLength > 0 else { throw .outOfTurn(.response) }
      let whole = FrameHeader.size + Int(header.headLength)
      let isWanted = reader.wantsRanges && header.flags.contains(.end) && header.dataLength <= FrameLimits.wholeResponse
      let wanted = isWanted ? whole + Int(header.dataLength) : whole
      guard input.count >= wanted else { return .needs(wanted) }
      reader.workerID = header.extra
      let head = UnsafeRawBufferPointer(start: input.bytes + FrameHeader.size, count: Int(header.headLength))
      guard origin.begin(head) else { return .attempt(.ended(.failed(.headRefused))) }
      reader.begun = true
      input.drop(whole)
      return startData(header, &reader)
    case .data:
      guard reader.begun else { throw .outOfTurn(.data) }
      input.drop(FrameHeader.size)
      return startData(header, &reader)
    case .log: return takeLog(header, origin: &origin)
    case .file: return try takeFile(header, &reader, origin: &origin)
    case .wantBody:
      guard reader.kind == .socket, upload.want() else { throw .outOfTurn(.wantBody) }
      reader.workerID = header.extra
    case .taken: reader.workerID = header.extra
    case .stale:
      guard !reader.begun, !upload.wasWanted else { throw .outOfTurn(.stale) }
      return .attempt(.stale)
    case .failed:
      guard !reader.begun else { throw .outOfTurn(.failed) }
      let status = (400...599).contains(header.extra) ? Int32(header.extra) : 500
      return .attempt(.ended(.failed(.answered(status: status))))
    case .aborted:
      guard reader.begun else { throw .outOfTurn(.aborted) }
      return .attempt(.ended(.cut(.aborted)))
    case .body, .bodyFailed: throw .wrongDirection(header.kind)
    }
    input.drop(FrameHeader.size)
    return nil
  }

  @inline(__always)
  private func startData(_ header: FrameHeader, _ reader: inout ResponseReader) -> Step? {
    reader.dataLeft = Int(header.dataLength)
    reader.dataFlags = header.flags
    if header.flags.contains(.ofFile) { reader.sendsFile = true }
    return reader.dataLeft == 0 ? finishData(&reader) : nil
  }

  /// Behind the last byte of a frame.
  @inline(__always)
  private func finishData(_ reader: inout ResponseReader) -> Step? {
    if reader.dataFlags.contains(.end) { return .attempt(.ended(.done)) }
    if reader.dataFlags.contains(.flush), reader.flushDeadline == nil {
      reader.flushDeadline = Clock.monotonicMilliseconds() &+ reader.group.flushDelay
    }
    return nil
  }

  /// Writes to the client what is there of the current frame's data.
  private mutating func passData<Origin: RequestOrigin & ~Copyable>(
    _ reader: inout ResponseReader, origin: inout Origin
  ) -> Step? {
    let count = min(reader.dataLeft, input.count)
    let isLast = count == reader.dataLeft && reader.dataFlags.contains(.end)
    let start = isLast ? 0 : Clock.monotonicMilliseconds()
    let bytes = UnsafeRawBufferPointer(start: input.bytes, count: count)
    if isLast {
      let isTaken = (spool.isEmpty || sendAll(origin: &origin)) && origin.end(bytes)
      input.drop(count)
      return .attempt(.ended(isTaken ? .done : .clientGone))
    }
    if keepsFor(reader, origin) {
      guard let kept = keep(bytes, &reader, origin: &origin) else { return .attempt(.ended(.clientGone)) }
      input.drop(kept)
      reader.dataLeft -= kept
      return reader.dataLeft == 0 ? finishData(&reader) : nil
    }
    guard origin.write(bytes) else { return .attempt(.ended(.clientGone)) }
    input.drop(count)
    reader.dataLeft -= count
    reader.sinceFlush &+= count
    if reader.sinceFlush >= reader.group.flushSize, !flush(&reader, origin: &origin) {
      return .attempt(.ended(.clientGone))
    }
    // Of a slow client's response little is taken at a time, so that the worker, whose wait is limited, sees that it moves.
    reader.appetite = Clock.monotonicMilliseconds() &- start > 500 ? 4 << 10 : ChannelInput.ordinarySize
    return reader.dataLeft == 0 ? finishData(&reader) : nil
  }

  private mutating func takeLog<Origin: RequestOrigin & ~Copyable>(_ header: FrameHeader, origin: inout Origin) -> Step? {
    let nameLength = Int(header.headLength)
    let textLength = Int(header.dataLength)
    let whole = FrameHeader.size + nameLength + textLength
    guard input.count >= whole else { return .needs(whole) }
    let name = input.bytes + FrameHeader.size
    origin.log(
      level: LogLevel(clamping: header.flags.rawValue), file: UnsafeRawBufferPointer(start: name, count: nameLength),
      line: header.extra, text: UnsafeRawBufferPointer(start: name + nameLength, count: textLength))
    input.drop(whole)
    return nil
  }

  private mutating func takeFile<Origin: RequestOrigin & ~Copyable>(
    _ header: FrameHeader, _ reader: inout ResponseReader, origin: inout Origin
  ) throws(FrameFailure) -> Step? {
    let headLength = Int(header.headLength)
    guard reader.begun == (headLength == 0) else { throw .outOfTurn(.file) }
    let whole = FrameHeader.size + headLength + FrameLimits.fileData
    guard input.count >= whole else { return .needs(whole) }
    let head = UnsafeRawBufferPointer(start: input.bytes + FrameHeader.size, count: headLength)
    let range = input.bytes + FrameHeader.size + headLength
    let offset = range.loadUnaligned(as: Int64.self)
    let length = range.loadUnaligned(fromByteOffset: 8, as: Int64.self)
    let file = input.claimDescriptor()
    guard isRegular(file.number, holding: offset, length) else { throw .badDescriptor }
    reader.workerID = header.extra
    reader.sendsFile = true
    guard sendAll(origin: &origin) else { return .attempt(.ended(.clientGone)) }
    if !reader.begun {
      guard origin.begin(head) else { return .attempt(.ended(.failed(.headRefused))) }
      reader.begun = true
    }
    input.drop(whole)
    return .attempt(.ended(origin.sendFile(file, offset: offset, length: length) ? .done : .clientGone))
  }

  /// Whether a descriptor from a worker is what httpd may serve: no pipe, terminal, directory or device in its place.
  private func isRegular(_ file: Int32, holding offset: Int64, _ length: Int64) -> Bool {
    guard file >= 0, offset >= 0, length >= 0 else { return false }
    let (end, overflow) = offset.addingReportingOverflow(length)
    return !overflow && end <= wsgi_posix_readable_size(file)
  }

  // MARK: bytes

  /// Waits for more from the worker, and flushes on the way what is due.
  @inline(__always)
  private mutating func receive<Origin: RequestOrigin & ~Copyable>(
    _ reader: inout ResponseReader, origin: inout Origin
  ) -> ChannelInput.Received {
    if !spool.isEmpty || reader.owesFlush, let received = receiveForSlowClient(&reader, origin: &origin) { return received }
    if let deadline = reader.flushDeadline {
      if let early = receiveBeforeFlush(&reader, deadline) { return early }
      guard flush(&reader, origin: &origin) else { return .clientGone }
    }
    let received = input.receive(from: reader.channel, wait: true, most: reader.appetite)
    guard received == .nothingYet, let watch = reader.watch else { return received }
    return awaitWorker(watch, reader)
  }

  /// The first moment brought nothing: from here on it is also looked whether anything can come.
  @inline(never)
  private mutating func awaitWorker(_ watch: OwnerWatch, _ reader: ResponseReader) -> ChannelInput.Received {
    let limit = reader.group.socketTimeout
    let deadline = limit > 0 ? Clock.monotonicMilliseconds() &+ limit &- OwnerWatch.firstLook : Int64.max
    while true {
      let found = watch.wait(reader.channel, until: deadline)
      if found == .timedOut { return .nothingYet }
      let received = input.receive(from: reader.channel, wait: false, most: reader.appetite)
      if received != .nothingYet { return received }
      if found == .gone { return .ended }
    }
  }

  /// Blocks that follow each other quickly go to the client together: nothing is flushed while more is there, or comes until
  /// `deadline`, which the first of them set. Nil: it is time to flush.
  private mutating func receiveBeforeFlush(_ reader: inout ResponseReader, _ deadline: Int64) -> ChannelInput.Received? {
    while true {
      let remaining = deadline &- Clock.monotonicMilliseconds()
      if remaining < 0 { return nil }
      let received = input.receive(from: reader.channel, wait: false, most: reader.appetite)
      if received != .nothingYet { return received }
      if waitUntilReady(reader.channel, for: readable, milliseconds: remaining).first == 0 { return nil }
    }
  }

  mutating func flush<Origin: RequestOrigin & ~Copyable>(_ reader: inout ResponseReader, origin: inout Origin) -> Bool {
    reader.flushDeadline = nil
    reader.sinceFlush = 0
    reader.owesFlush = keepsFor(reader, origin)
    return reader.owesFlush || origin.flush()
  }
}
