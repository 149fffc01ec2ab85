import CPosix
import Glibc
import Platform
import WSGICore

/// One end of the channel between a worker and its supervisor. It borrows its descriptors. Only `wait` waits; any thread may
/// send, one receives.
///
/// Orders go to the worker through a SOCK_SEQPACKET socket, of which only that direction can be used, and may carry a descriptor.
/// Reports come from it through a pipe in packet mode to its `Relay`, and from there through a SOCK_SEQPACKET socket: to read a
/// tenant's pipe, or to close a descriptor that a tenant has chosen (a lingering connection, a pipe that a writer keeps locked),
/// could hold the supervisor up for as long as the tenant likes.
public struct ControlChannel: Sendable {
  enum Medium: Sendable {
    case socket
    case pipe
    /// A socket whose other end the relay has.
    case relay
  }

  let incoming: Int32
  let outgoing: Int32
  private let incomingMedium: Medium
  private let outgoingMedium: Medium

  private init(incoming: Int32, _ incomingMedium: Medium, outgoing: Int32, _ outgoingMedium: Medium) {
    self.incoming = incoming
    self.incomingMedium = incomingMedium
    self.outgoing = outgoing
    self.outgoingMedium = outgoingMedium
  }

  /// The worker's end. `Privileges.drop` has SIGPIPE ignored, without which a report to a closed pipe would end the process.
  public static let ofWorker = ControlChannel(
    orders: WorkerDescriptor.orders.rawValue, reportPipe: WorkerDescriptor.reports.rawValue)

  /// A worker's end of its channel.
  init(orders: Int32, reportPipe: Int32) { self.init(incoming: orders, .socket, outgoing: reportPipe, .pipe) }

  /// The supervisor's end of a worker's channel.
  init(reports: Int32, orders: Int32) { self.init(incoming: reports, .relay, outgoing: orders, .socket) }

  /// One end of a socket pair, for orders both ways.
  public init(socket: Int32) { self.init(incoming: socket, .socket, outgoing: socket, .socket) }

  public enum Received: Equatable, Sendable {
    /// A message, with the descriptor that came along (the receiver's from now on), or -1.
    case message(ControlMessage, descriptor: Int32)
    /// Something that is not a message; its descriptors are closed.
    case malformed
    case nothing
    /// No process holds the other end any more: a worker then ends.
    case ended
  }

  /// Sends a message, an order with a descriptor if there is one (it stays the caller's). False when there is no room for it, or
  /// no reader: the message is lost.
  @discardableResult
  public func send(_ message: ControlMessage, descriptor passed: Int32 = -1) -> Bool {
    var writer = FlatWriter(capacity: 256)
    message.encode(into: &writer)
    switch outgoingMedium {
    case .pipe:
      guard passed < 0 else { return false }
      return systemCall { write(outgoing, writer.bytes.baseAddress, writer.count) } == writer.count
    case .socket, .relay:
      var part = iovec(iov_base: UnsafeMutableRawPointer(mutating: writer.bytes.baseAddress), iov_len: writer.count)
      var passed = passed
      return wsgi_posix_send(outgoing, &part, 1, &passed, passed < 0 ? 0 : 1, Int32(MSG_DONTWAIT)) >= 0
    }
  }

  /// Sends what the supervisor cannot do without, be it behind log records that fill the pipe: it waits for room as long as the
  /// relay reads, but not for ever. False: the message is lost.
  @discardableResult
  public func tell(_ message: ControlMessage, within milliseconds: Int64 = 10_000) -> Bool {
    guard outgoingMedium == .pipe else { return send(message) }
    var writer = FlatWriter(capacity: 256)
    message.encode(into: &writer)
    let deadline = Clock.monotonicMilliseconds() &+ milliseconds
    while true {
      let sent = systemCall { write(outgoing, writer.bytes.baseAddress, writer.count) }
      // Another thread may have been faster to take the room.
      guard sent == -Int(EAGAIN) else { return sent == writer.count }
      guard hasRoom(within: deadline &- Clock.monotonicMilliseconds()) else { return false }
    }
  }

  /// Asks the relay to say when all that the worker has said is passed on.
  func askForRest() {
    guard incomingMedium == .relay, incoming >= 0 else { return }
    ControlChannel(socket: incoming).send(.passOn)
  }

  /// The next message, if one is there.
  public func receive() -> Received {
    withUnsafeTemporaryAllocation(byteCount: ControlMessage.limit, alignment: 8) { buffer in
      guard let start = buffer.baseAddress else { return .nothing }
      switch incomingMedium {
      case .relay, .pipe: return receiveReport(into: start)
      case .socket: return receiveOrder(into: start)
      }
    }
  }

  private func receiveReport(into start: UnsafeMutableRawPointer) -> Received {
    let count = systemCall { recv(incoming, start, ControlMessage.limit, Int32(MSG_DONTWAIT)) }
    if count == -Int(EAGAIN) { return .nothing }
    if count <= 0 { return .ended }  // a relay sends no empty packets
    let message = ControlMessage(decoding: UnsafeRawBufferPointer(start: start, count: count))
    return message.map { .message($0, descriptor: -1) } ?? .malformed
  }

  private func receiveOrder(into start: UnsafeMutableRawPointer) -> Received {
    var descriptors = wsgi_posix_descriptors()
    let count = wsgi_posix_receive(incoming, start, ControlMessage.limit, Int32(MSG_DONTWAIT | MSG_TRUNC), &descriptors)
    if count == -Int(EAGAIN) { return .nothing }
    if count < 0 { return .ended }
    if count == 0, descriptors.count == 0 { return hasHungUp ? .ended : .malformed }
    if count <= ControlMessage.limit, descriptors.count <= 1, descriptors.refused == 0,
      let message = ControlMessage(decoding: UnsafeRawBufferPointer(start: start, count: count))
    {
      return .message(message, descriptor: descriptors.count == 1 ? descriptors.values.0 : -1)
    }
    if descriptors.count > 0 { close(descriptors.values.0) }
    if descriptors.count > 1 { close(descriptors.values.1) }
    return .malformed
  }

  /// Waits until there is something to receive; false when the time has passed. Negative: as long as it takes.
  public func wait(milliseconds: Int64) -> Bool {
    waitUntilReady(incoming, for: readable, milliseconds: milliseconds).first != 0
  }

  /// Waits until something can be sent; false when the time has passed.
  public func hasRoom(within milliseconds: Int64) -> Bool {
    waitUntilReady(outgoing, for: writable, milliseconds: max(milliseconds, 0)).first & writable != 0
  }

  /// An empty packet also reads as 0: only a hang-up is the end.
  private var hasHungUp: Bool { waitUntilReady(incoming, for: readable, milliseconds: 0).first & POLLHUP != 0 }
}
