import Platform
import RequestCounting
import WSGICore

// A client that does not keep up with its response: the child takes the response from the worker all the same, as much of it as
// response-spool allows, so that the worker's thread is free for other requests.
extension RequestForwarder {
  /// So much a client's socket takes at once when it takes anything.
  private static let piece = 16 << 10
  /// How long is waited for either side before it is looked whether the worker still lives, in milliseconds.
  private static let slice: Int64 = 250

  /// Keeps bytes of the response, and says how many; where there is no more room the client is waited for. nil: it has gone.
  @inline(never)
  mutating func keep<Origin: RequestOrigin & ~Copyable>(
    _ bytes: UnsafeRawBufferPointer, _ reader: inout ResponseReader, origin: inout Origin
  ) -> Int? {
    let room = reader.group.responseSpool - spool.count
    guard room > 0 else { return sendPiece(origin: &origin) ? 0 : nil }
    let part = UnsafeRawBufferPointer(rebasing: bytes.prefix(room))
    let failure: SpoolFailure
    do throws(SpoolFailure) {
      try spool.append(part, limit: reader.group.responseSpool) { () throws(SpoolFailure) in
        try SpoolFile(origin.makeSpoolFile(), SpoolSpace(seat, reader.group.row, limit: reader.group.spoolLimit))
      }
      return part.count
    } catch {
      failure = error
    }
    reader.hasNoRoom = true
    origin.spoolFailed(failure)
    return sendAll(origin: &origin) && origin.write(bytes) ? bytes.count : nil
  }

  /// Sends the first bytes, at most `most`. False: the client has gone, or cannot be given what it is due.
  private mutating func sendPiece<Origin: RequestOrigin & ~Copyable>(
    _ most: Int = RequestForwarder.piece, origin: inout Origin
  ) -> Bool {
    do throws(SpoolFailure) {
      let piece = try spool.first(most)
      guard origin.write(piece) else { return false }
      spool.drop(piece.count)
      return true
    } catch {
      origin.spoolFailed(error)
      return false
    }
  }

  /// Waits until the client has taken everything. False: it has gone.
  mutating func sendAll<Origin: RequestOrigin & ~Copyable>(origin: inout Origin) -> Bool {
    while !spool.isEmpty {
      if !sendPiece(.max, origin: &origin) { return false }
    }
    return true
  }

  /// The same with what is to be flushed. While a client sends its body nothing of the response is kept from it: it may wait for
  /// that with the rest.
  @inline(__always)
  mutating func catchUp<Origin: RequestOrigin & ~Copyable>(_ reader: inout ResponseReader, origin: inout Origin) -> Bool {
    guard !spool.isEmpty || reader.owesFlush else { return true }
    return sendAll(origin: &origin) && flush(&reader, origin: &origin)
  }

  /// Whether the client does not keep up, and what comes is to be kept for it.
  @inline(__always)
  func keepsFor<Origin: RequestOrigin & ~Copyable>(_ reader: ResponseReader, _ origin: borrowing Origin) -> Bool {
    !spool.isEmpty
      || reader.group.responseSpool > 0 && !reader.hasNoRoom && !upload.isActive && origin.isClientBehind()
  }

  /// Serves both sides, until the worker has sent something or the client has caught up (nil).
  @inline(never)
  mutating func receiveForSlowClient<Origin: RequestOrigin & ~Copyable>(
    _ reader: inout ResponseReader, origin: inout Origin
  ) -> ChannelInput.Received? {
    let began = Clock.monotonicMilliseconds()
    var clientMoved = began
    let patience = origin.clientTimeoutMilliseconds
    while !spool.isEmpty || reader.owesFlush {
      let isFull = spool.count >= reader.group.responseSpool
      let events = waitUntilReady(
        isFull ? -1 : reader.channel, for: readable, or: origin.bodyDescriptor, for: writable,
        milliseconds: RequestForwarder.slice)
      let now = Clock.monotonicMilliseconds()
      if events.second != 0 {
        clientMoved = now
        if !spool.isEmpty, !sendPiece(origin: &origin) { return .clientGone }
        if spool.isEmpty, reader.owesFlush, !flush(&reader, origin: &origin) { return .clientGone }
      } else if patience > 0, now &- clientMoved >= patience {
        origin.clientTimedOut()
        return .clientGone
      }
      if events.first != 0 {
        let received = input.receive(from: reader.channel, wait: false, most: reader.appetite)
        if received != .nothingYet { return received }
      }
      guard events.first == 0, events.second == 0, !isFull else { continue }
      if let watch = reader.watch, watch.wait(reader.channel, until: now &+ 1) == .gone { return .ended }
      let limit = reader.group.socketTimeout
      if limit > 0, now &- began >= limit { return .nothingYet }
    }
    return nil
  }
}
