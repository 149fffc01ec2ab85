import CPosix
import Glibc

/// Replaces a group's queue after one of its processes has shut it down, which closes it for every process.
///
/// The supervisor keeps a write end of its own: while it has that, a queue comes to its end by `shutdown` alone. Both ends of the
/// new queue are left as one message in a socket pair that was made before httpd had children. A process that has the old queue,
/// or inherits it later, looks there, and takes nothing out. So none has to be told, and it outlives its supervisor.
public struct RenewableQueue: Sendable {
  public typealias Ends = (read: Int32, write: Int32)

  /// -1: there is no queue.
  public let readEnd: Int32
  /// -1: none is held, and the end of the queue is the end of the group.
  public internal(set) var writeEnd: Int32
  /// Where those who have the old queue look; -1: nowhere.
  public let offered: Int32
  /// Where the supervisor puts what it offers.
  let offer: Int32

  /// There is none.
  public static let never = RenewableQueue(readEnd: -1, writeEnd: -1, offered: -1, offer: -1)

  /// Takes over both ends of a queue. nil: errno says why not.
  public static func make(_ ends: Ends) -> RenewableQueue? {
    var pair: [Int32] = [-1, -1]
    let result = wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &pair)
    guard result == 0 else {
      errno = -result
      return nil
    }
    shutdown(pair[0], Int32(SHUT_RD))
    return RenewableQueue(readEnd: ends.read, writeEnd: ends.write, offered: pair[1], offer: pair[0])
  }

  /// Puts the queue that is offered, if one is, in the place of the one that the ends here belong to.
  func takeOver() {
    guard offered >= 0 else { return }
    _ = wsgi_posix_take_over_queue(offered, writeEnd, readEnd)
  }

  /// Offers a queue, in the place of any before it. An errno value, or 0.
  func put(_ ends: Ends) -> Int32 {
    takeBack()
    var byte: UInt8 = 1
    let numbers = [ends.write, ends.read]
    let sent = withUnsafeMutableBytes(of: &byte) { bytes in
      var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
      return wsgi_posix_send(offer, &part, 1, numbers, Int32(numbers.count), Int32(MSG_DONTWAIT))
    }
    return sent < 0 ? Int32(clamping: -sent) : 0
  }

  /// Offers nothing any more: what is offered keeps a write end open.
  func takeBack() {
    guard offered >= 0 else { return }
    var byte: UInt8 = 0
    var ends = wsgi_posix_descriptors()
    while wsgi_posix_receive(offered, &byte, 1, Int32(MSG_DONTWAIT), &ends) > 0 {
      if ends.count > 0 { close(ends.values.0) }
      if ends.count > 1 { close(ends.values.1) }
    }
  }

  /// No process is left that puts requests in.
  mutating func end() {
    if writeEnd >= 0 { close(writeEnd) }
    writeEnd = -1
    takeBack()
  }
}

/// A pipe that no process writes to: its end says that those that were to hold it open have gone. A pipe cannot be shut down.
struct Lifeline: Sendable {
  /// -1: closed.
  private(set) var held: Int32
  private(set) var watched: Int32

  static let none = Lifeline(held: -1, watched: -1)

  static func make() -> Lifeline? {
    var ends: [Int32] = [-1, -1]
    guard wsgi_posix_output_pipe(&ends) == 0 else { return nil }
    return Lifeline(held: ends[1], watched: ends[0])
  }

  var hasEnded: Bool {
    var entry = pollfd(fd: watched, events: 0, revents: 0)
    return watched >= 0 && poll(&entry, 1, 0) > 0
  }

  mutating func letGo() {
    if held >= 0 { close(held) }
    held = -1
  }

  mutating func lookAway() {
    if watched >= 0 { close(watched) }
    watched = -1
  }
}
