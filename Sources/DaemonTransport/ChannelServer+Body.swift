import CPosix
import Glibc
import Platform
import WSGICore

// The request's body, which is asked for when the application reads it.

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
      case .strayDescriptor: throw .failed
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
