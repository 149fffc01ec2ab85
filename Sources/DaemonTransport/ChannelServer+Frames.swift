import CPosix
import Glibc
import Platform
import WSGICore

// How frames get into the channel, whole, and in their order.

extension ChannelServer {
  /// Sends one frame. With `wait` false it throws `wouldBlock` when nothing of it could be sent; a remainder is kept, and sent
  /// before anything else.
  mutating func transmit(
    _ header: FrameHeader, _ head: UnsafeRawBufferPointer?, _ data: UnsafeRawBufferPointer, wait: Bool, descriptor: Int32 = -1
  ) throws(ExchangeFailure) {
    if !pending.isEmpty { try sendPending(wait: wait) }
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
      var parts = (part(UnsafeRawBufferPointer(fixed), &skip), part(head, &skip), part(data, &skip))
      return withUnsafeBytes(of: &parts) { list in
        guard let first = list.bindMemory(to: iovec.self).baseAddress else { return -Int(EPIPE) }
        return wsgi_posix_send(channel, first, 3, &descriptor, descriptor >= 0 ? 1 : 0, Int32(MSG_DONTWAIT))
      }
    }
  }

  /// The rest of a part when `skip` bytes before its end are done.
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
  mutating func sendPending(wait: Bool) throws(ExchangeFailure) {
    while pendingSent < pending.count {
      let count = pending.withUnsafeBytes { bytes in
        var part = iovec(
          iov_base: bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + pendingSent) },
          iov_len: bytes.count - pendingSent)
        return wsgi_posix_send(channel, &part, 1, nil, 0, Int32(MSG_DONTWAIT))
      }
      if count >= 0 {
        pendingSent += count
      } else if count != -Int(EAGAIN) {
        failure = .closed
        throw .closed
      } else if !wait {
        throw .wouldBlock
      } else {
        try waitForRoom()
      }
    }
    pending.removeAll(keepingCapacity: true)
    pendingSent = 0
  }

  /// Waits until the channel takes more. A child that reads, however slowly its client lets it, is never too slow: the time that
  /// counts is that in which it took nothing at all.
  mutating func waitForRoom() throws(ExchangeFailure) {
    var unread = wsgi_posix_unread(channel)
    var since = Clock.monotonicMilliseconds()
    while true {
      let slice = socketTimeout > 0 ? min(1000, socketTimeout) : 1000
      if waitUntilReady(channel, for: writable, milliseconds: slice).first != 0 { return }
      let now = Clock.monotonicMilliseconds()
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
}
