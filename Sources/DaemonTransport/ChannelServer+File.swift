import CPosix
import Glibc
import WSGICore

// A response, or the rest of one, that is a file.

extension ChannelServer {
  /// Sends a range of a regular file and ends the response. The descriptor stays the caller's.
  public mutating func sendFile(
    head: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64
  ) throws(ExchangeFailure) {
    try check(head)
    guard takesDescriptors else { return try streamFile(head: head, descriptor: descriptor, offset: offset, length: length) }
    var range = (offset, length)
    let header = FrameHeader(.file, head: head?.count ?? 0, data: FrameLimits.fileData, extra: workerID)
    try withUnsafeBytes(of: &range) { (bytes) throws(ExchangeFailure) in
      try transmit(header, head, bytes, wait: true, descriptor: descriptor)
    }
    hasBegun = true
    hasEnded = true
  }

  /// The same on a channel that carries no descriptors: the file's bytes, which are not copied on their way into the socket.
  private mutating func streamFile(
    head: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64
  ) throws(ExchangeFailure) {
    // Nothing is received any more, and what is sent must not wait for longer than `waitForRoom` does.
    _ = fcntl(channel, F_SETFL, O_RDWR | O_NONBLOCK)
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
      try stream(descriptor, &offset, Int(piece))
    } while left > 0
    hasEnded = true
  }

  private mutating func stream(_ descriptor: Int32, _ offset: inout Int64, _ length: Int) throws(ExchangeFailure) {
    var left = length
    while left > 0 {
      let count = wsgi_posix_send_file(descriptor, &offset, channel, left)
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

  /// For files of systems that cannot do that.
  private mutating func copy(_ descriptor: Int32, _ offset: inout Int64, _ length: Int) throws(ExchangeFailure) -> Int {
    let start = off_t(offset)
    // The frame's head has gone, and what was pending before it.
    pending = [UInt8](unsafeUninitializedCapacity: min(length, 64 << 10)) {
      $1 = max(0, pread(descriptor, $0.baseAddress, $0.count, start))
    }
    let count = pending.count
    guard count > 0 else {
      failure = .failed
      throw .failed
    }
    defer { (pending, pendingSent) = ([], 0) }
    try sendPending(wait: true)
    offset += Int64(count)
    return count
  }
}
