import CPosix
import Glibc
import Platform

/// Bytes received from the channel and not yet used, and a descriptor that came with them.
struct ChannelInput: ~Copyable {
  /// The most that one receive takes, and the size of the buffer unless a frame's head is longer.
  static let ordinarySize = 64 << 10

  private var base: UnsafeMutableRawPointer
  private var capacity: Int
  private var start = 0
  private var end = 0
  /// Received and not yet claimed.
  private var descriptor = Descriptor()
  private var acceptsDescriptors = true

  init() {
    base = UnsafeMutableRawPointer.allocate(byteCount: ChannelInput.ordinarySize, alignment: 16)
    capacity = ChannelInput.ordinarySize
  }

  deinit { base.deallocate() }

  /// Forgets everything, and gives back the memory that only a long head needed.
  mutating func reset(acceptsDescriptors: Bool = true) {
    self.acceptsDescriptors = acceptsDescriptors
    start = 0
    end = 0
    if descriptor.number >= 0 { descriptor.close() }
    if capacity > ChannelInput.ordinarySize {
      base.deallocate()
      base = UnsafeMutableRawPointer.allocate(byteCount: ChannelInput.ordinarySize, alignment: 16)
      capacity = ChannelInput.ordinarySize
    }
  }

  @inline(__always) var count: Int { end - start }
  @inline(__always) var bytes: UnsafeRawPointer { UnsafeRawPointer(base + start) }

  @inline(__always)
  mutating func drop(_ used: Int) {
    start += used
    if start == end {
      start = 0
      end = 0
    }
  }

  /// The descriptor, now the caller's.
  mutating func claimDescriptor() -> Descriptor {
    var claimed = Descriptor()
    swap(&claimed, &descriptor)
    return claimed
  }

  /// Sees to it that `wanted` bytes can lie in one piece, at the next `receive`s' cost. `wanted` is checked against the limits
  /// by the caller.
  mutating func makeRoom(for wanted: Int) {
    if capacity - start >= wanted { return }
    if capacity >= wanted {
      base.copyMemory(from: base + start, byteCount: count)
    } else {
      let larger = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
      larger.copyMemory(from: base + start, byteCount: count)
      base.deallocate()
      base = larger
      capacity = wanted
    }
    end -= start
    start = 0
  }

  enum Received: Equatable {
    case bytes
    /// Also after a wait for as long as may be.
    case nothingYet
    case ended
    /// The kernel or the peer passed descriptors that have no place.
    case strayDescriptor
    /// Of a `RequestForwarder`, which serves the client meanwhile.
    case clientGone
  }

  /// Receives once; `wait` blocks as long as the socket's receive timeout says. At most `most` bytes are taken.
  mutating func receive(from socket: Int32, wait: Bool, most: Int = .max) -> Received {
    if end == capacity { makeRoom(for: count == capacity ? capacity * 2 : capacity) }
    let flags = wait ? 0 : Int32(MSG_DONTWAIT)
    if !acceptsDescriptors { return receiveBytes(socket, flags, most) }
    var descriptors = wsgi_posix_descriptors()
    let received = wsgi_posix_receive(socket, base + end, min(capacity - end, most), flags, &descriptors)
    if received == -Int(EAGAIN) { return .nothingYet }
    if received <= 0 { return .ended }
    end += received
    if descriptors.refused != 0 { return .strayDescriptor }
    if descriptors.count > 0 {
      guard descriptors.count == 1, descriptor.number < 0 else {
        _ = close(descriptors.values.0)
        if descriptors.count > 1 { _ = close(descriptors.values.1) }
        return .strayDescriptor
      }
      descriptor = Descriptor(owning: descriptors.values.0)
    }
    return .bytes
  }

  private mutating func receiveBytes(_ socket: Int32, _ flags: Int32, _ most: Int) -> Received {
    let received = systemCall { recv(socket, base + end, min(capacity - end, most), flags) }
    if received == -Int(EAGAIN) { return .nothingYet }
    guard received > 0 else { return .ended }
    end += received
    return .bytes
  }
}
