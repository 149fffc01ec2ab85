import CPosix
import Glibc
import Platform
import WSGICore

/// Puts requests into a queue.
public enum QueueWriter {
  /// Puts a request that was received, and belongs to another process, into another queue as it came: one attempt more. The
  /// channel stays the caller's. False: that queue takes nothing.
  public static func pass(_ head: UnsafeRawBufferPointer, _ envelope: QueueEnvelope, channel: Int32, to queue: Int32) -> Bool {
    var envelope = envelope
    envelope.flags.remove(.headInFile)
    envelope.attempt &+= 1
    if case .done = send(head, envelope, channel: channel, to: queue) { return true }
    return false
  }

  enum Sent {
    case done
    /// No room, or too many descriptors of this user under way: worth another try.
    case full
    /// The last read end is closed: the generation is being torn down.
    case closed
    case failed(errno: Int32)
  }

  /// One try, without waiting. `channel` is the far end for the worker; it stays the caller's.
  static func send(_ head: UnsafeRawBufferPointer, _ envelope: QueueEnvelope, channel: Int32, to queue: Int32) -> Sent {
    guard head.count <= RequestHead.limit, let start = head.baseAddress else { return .failed(errno: EMSGSIZE) }
    if head.count > RequestQueue.inlineHead { return sendInFile(head, envelope, channel: channel, to: queue) }
    var envelope = envelope
    envelope.headLength = UInt32(head.count)
    let result = send(envelope, start, head.count, descriptors: (channel, -1), count: 1, to: queue)
    // A queue whose buffer could not be enlarged takes shorter messages than we may send.
    if case .failed(EMSGSIZE) = result { return sendInFile(head, envelope, channel: channel, to: queue) }
    return result
  }

  @inline(never)
  private static func sendInFile(
    _ head: UnsafeRawBufferPointer, _ envelope: QueueEnvelope, channel: Int32, to queue: Int32
  ) -> Sent {
    guard let start = head.baseAddress else { return .failed(errno: EMSGSIZE) }
    let number = wsgi_posix_sealed_file(start, head.count)
    guard number >= 0 else { return .failed(errno: -number) }
    let file = Descriptor(owning: number)
    var envelope = envelope
    envelope.headLength = UInt32(clamping: head.count)
    envelope.flags.insert(.headInFile)
    return send(envelope, nil, 0, descriptors: (channel, file.number), count: 2, to: queue)
  }

  private static func send(
    _ envelope: QueueEnvelope, _ head: UnsafeRawPointer?, _ length: Int, descriptors: (Int32, Int32), count: Int32,
    to queue: Int32
  ) -> Sent {
    let flags = Int32(MSG_DONTWAIT)
    var descriptors = descriptors
    let result = withUnsafeTemporaryAllocation(byteCount: QueueEnvelope.size, alignment: 8) { fixed in
      guard let fixedStart = fixed.baseAddress else { return -Int(ENOMEM) }
      envelope.encode(to: fixedStart)
      var parts = (
        iovec(iov_base: fixedStart, iov_len: QueueEnvelope.size),
        iovec(iov_base: UnsafeMutableRawPointer(mutating: head), iov_len: length)
      )
      return withUnsafeBytes(of: &parts) { list in
        withUnsafeBytes(of: &descriptors) { numbers in
          guard let first = list.bindMemory(to: iovec.self).baseAddress else { return -Int(ENOMEM) }
          return wsgi_posix_send(queue, first, head == nil ? 1 : 2, numbers.bindMemory(to: Int32.self).baseAddress, count, flags)
        }
      }
    }
    if result >= 0 { return .done }
    switch Int32(-result) {
    case EAGAIN, ENOBUFS, ETOOMANYREFS: return .full
    case EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED: return .closed
    case let other: return .failed(errno: other)
    }
  }
}
