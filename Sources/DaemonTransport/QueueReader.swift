import CPosix
import Glibc
import Platform
import WSGICore

/// Takes requests from a group's queue. One per thread of a worker: it owns the buffer that the request's head lies in.
public struct QueueReader: ~Copyable {
  /// The result of waiting on the queue.
  public enum Received {
    /// A request: `head` holds it, and the caller owns the channel.
    case request(channel: Int32, QueueEnvelope)
    /// A signal handler ran.
    case interrupted
    /// All write ends are closed and the queue is empty.
    case ended
    /// A message that is not a request; its descriptors are closed. The text says what is wrong.
    case malformed(StaticString)
    case failed(errno: Int32)
  }

  private let buffer: UnsafeMutableRawPointer
  private var largeHead: UnsafeMutableRawPointer?
  private var headCount = 0

  public init() { buffer = UnsafeMutableRawPointer.allocate(byteCount: RequestQueue.messageLimit, alignment: 16) }

  deinit {
    buffer.deallocate()
    largeHead?.deallocate()
  }

  /// The encoded head of the request received last, with the time and the attempt of its envelope filled in; valid until the next
  /// `receive`. Its user decodes it, and so checks it, first.
  public var head: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: largeHead ?? buffer + QueueEnvelope.size, count: headCount)
  }

  /// Waits for the next request. Threads of several processes may wait on one queue: the kernel wakes one of them.
  public mutating func receive(from queue: Int32) -> Received { receive(from: queue, flags: 0) }

  @inline(__always)
  mutating func receive(from queue: Int32, flags: Int32) -> Received {
    if largeHead != nil {
      largeHead?.deallocate()
      largeHead = nil
    }
    headCount = 0
    var descriptors = wsgi_posix_descriptors()
    let count = wsgi_posix_receive_once(queue, buffer, RequestQueue.messageLimit, Int32(MSG_TRUNC) | flags, &descriptors)
    if count < 0 { return -count == Int(EINTR) ? .interrupted : .failed(errno: Int32(clamping: -count)) }
    if count == 0, descriptors.count == 0, descriptors.refused == 0 { return hasEnded(queue) ? .ended : .malformed("empty") }
    if descriptors.refused != 0 { return .malformed("more descriptors than a request has") }
    guard descriptors.count > 0 else { return .malformed("no channel") }
    let file = Descriptor(owning: descriptors.count > 1 ? descriptors.values.1 : -1)
    do throws(Malformed) {
      return .request(channel: descriptors.values.0, try envelope(of: count, file))
    } catch {
      ChannelServer.giveUp(descriptors.values.0)
      return .malformed(error.what)
    }
  }

  private struct Malformed: Error {
    let what: StaticString
  }

  /// Looks at a message of `count` bytes that came with `file`, and makes its head `head`.
  private mutating func envelope(of count: Int, _ file: borrowing Descriptor) throws(Malformed) -> QueueEnvelope {
    guard count <= RequestQueue.messageLimit else { throw Malformed(what: "too long") }
    guard let envelope = QueueEnvelope(decoding: UnsafeRawBufferPointer(start: buffer, count: count)) else {
      throw Malformed(what: "no envelope")
    }
    if envelope.flags.contains(.headInFile) {
      guard file.number >= 0, count == QueueEnvelope.size else { throw Malformed(what: "no file with its head") }
      guard readHead(from: file.number, length: Int(envelope.headLength)) else {
        throw Malformed(what: "a file that is not its head")
      }
    } else {
      guard file.number < 0 else { throw Malformed(what: "a descriptor that belongs to nothing") }
      guard count - QueueEnvelope.size == Int(envelope.headLength) else {
        throw Malformed(what: "a head of another length")
      }
    }
    headCount = Int(envelope.headLength)
    stamp(envelope)
    return envelope
  }

  /// Takes flags away from the request received last.
  public func clear(_ flags: RequestHead.Flags) {
    guard headCount >= RequestHead.flagsOffset + 4 else { return }
    let start = largeHead ?? buffer + QueueEnvelope.size
    let held = start.load(fromByteOffset: RequestHead.flagsOffset, as: UInt32.self)
    start.storeBytes(of: held & ~flags.rawValue, toByteOffset: RequestHead.flagsOffset, as: UInt32.self)
  }

  /// A zero-length message also reads as nothing: only a hang-up is the end.
  private func hasEnded(_ queue: Int32) -> Bool { waitUntilReady(queue, for: readable, milliseconds: 0).first & POLLHUP != 0 }

  private mutating func readHead(from file: Int32, length: Int) -> Bool {
    guard wsgi_posix_sealed_size(file) == Int64(length), length > 0 else { return false }
    let start = UnsafeMutableRawPointer.allocate(byteCount: length, alignment: 16)
    largeHead = start
    var done = 0
    while done < length {
      let count = systemCall { pread(file, start + done, length - done, off_t(done)) }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }

  /// Values known only when the request was queued, put where the engine reads them.
  private func stamp(_ envelope: QueueEnvelope) {
    guard headCount >= RequestHead.queueStartOffset + 8 else { return }
    let start = largeHead ?? buffer + QueueEnvelope.size
    start.storeBytes(of: envelope.queueStart, toByteOffset: RequestHead.queueStartOffset, as: Int64.self)
    start.storeBytes(of: envelope.attempt, toByteOffset: RequestHead.attemptOffset, as: UInt32.self)
  }
}
