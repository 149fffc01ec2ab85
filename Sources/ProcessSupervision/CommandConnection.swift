import CPosix
import Glibc
import WSGICore

/// A connection at the control socket, as the supervisor has it. Its client may be anybody: a request of one size is looked at
/// when all of it is there, and nothing is ever taken out of the socket, since a message may bring descriptors with it that hold
/// up whoever closes them. An answer is made as fast as the client reads, a small part at a time.
final class CommandConnection {
  let descriptor: Int32
  let user: UInt32
  let process: Int32
  /// When it is given up. Microseconds of the monotonic clock.
  var deadline: Int64
  /// The answer's groups that are still to be written, by their places, the next one last.
  var places: [Int] = []
  /// nil: all has been given to the socket, or will be with `pending`.
  var outcome: CommandAnswer.Outcome?
  private var pending: [UInt8] = []
  private var sent = 0

  /// How long a client may take to send its request, and how long to read some of the answer.
  static let patience: Int64 = 5_000_000

  init(descriptor: Int32, user: UInt32, process: Int32, now: Int64) {
    self.descriptor = descriptor
    self.user = user
    self.process = process
    deadline = now &+ Self.patience
  }

  /// The answer has begun.
  private(set) var hasRequest = false

  enum Received {
    case request(CommandRequest)
    case incomplete
    /// Not a request, or descriptors with it, or the client's end.
    case worthless
  }

  func receive() -> Received {
    withUnsafeTemporaryAllocation(byteCount: CommandRequest.size + 1, alignment: 8) { buffer in
      guard let start = buffer.baseAddress else { return .worthless }
      let count = wsgi_posix_peek(descriptor, start, buffer.count)
      if count == -Int(EAGAIN) { return .incomplete }
      guard count > 0, count <= CommandRequest.size else { return .worthless }
      guard count == CommandRequest.size else { return .incomplete }
      guard let request = CommandRequest(decoding: UnsafeRawBufferPointer(start: start, count: count)) else { return .worthless }
      hasRequest = true
      return .request(request)
    }
  }

  // MARK: the answer

  func add(_ parts: [CommandAnswer]) {
    var writer = FlatWriter(capacity: 512)
    for part in parts { part.append(to: &writer) }
    pending += writer.bytes
  }

  /// Sends a part with a descriptor, which stays the caller's, before anything else is sent. False: there is no room for it.
  func send(_ part: CommandAnswer, descriptor passed: Int32) -> Bool {
    var writer = FlatWriter(capacity: 64)
    part.append(to: &writer)
    var piece = iovec(iov_base: UnsafeMutableRawPointer(mutating: writer.bytes.baseAddress), iov_len: writer.count)
    return [passed].withUnsafeBufferPointer {
      wsgi_posix_send(descriptor, &piece, 1, $0.baseAddress, 1, Int32(MSG_DONTWAIT)) == writer.count
    }
  }

  /// So much of the answer is kept for a client at a time, and a bit more.
  static let share = 16_384

  var wantsMore: Bool { pending.count &- sent < Self.share }

  enum Sent {
    case all
    case some
    /// The client has gone.
    case failed
  }

  func send(now: Int64) -> Sent {
    while sent < pending.count {
      let count = pending.withUnsafeBytes { bytes in
        var part = iovec(
          iov_base: bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + sent) }, iov_len: bytes.count &- sent)
        return wsgi_posix_send(descriptor, &part, 1, nil, 0, Int32(MSG_DONTWAIT))
      }
      if count == -Int(EAGAIN) { return .some }
      guard count > 0 else { return .failed }
      sent = sent &+ count
      deadline = now &+ Self.patience
    }
    pending.removeAll(keepingCapacity: true)
    sent = 0
    return .all
  }
}
