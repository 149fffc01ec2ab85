import CPosix
import Glibc
import Platform
import RequestCounting
import WSGICore

/// A process group's queue: a pair of SOCK_SEQPACKET sockets on which one message is one request.
///
/// The write end belongs to httpd's children, the read end to the group's workers; both are made before any of them exists and
/// outlive each of them. When the last write end is closed, the read end gives what is left and then `ended`.
public struct RequestQueue: ~Copyable {
  public let writeEnd: Descriptor
  public let readEnd: Descriptor

  /// The longest message. A request whose head does not fit travels in a sealed memory file.
  static let messageLimit = QueueEnvelope.size + inlineHead
  static let inlineHead = 64 << 10

  /// The share of the buffer that an ordinary request takes, including the kernel's bookkeeping.
  private static let ordinaryRequest = 8 << 10
  private static let leastBuffer = 256 << 10
  private static let mostBuffer = 64 << 20

  /// Makes the queue. `backlog` requests of ordinary size have room in it. Both ends are close-on-exec and blocking.
  public init(backlog: Int) throws(QueueFailure) {
    var ends: [Int32] = [-1, -1]
    let result = wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends)
    writeEnd = Descriptor(owning: ends[0])
    readEnd = Descriptor(owning: ends[1])
    guard result == 0 else { throw QueueFailure(errno: -result) }
    let wanted = min(max(backlog, 0), RequestQueue.mostBuffer / RequestQueue.ordinaryRequest) * RequestQueue.ordinaryRequest
    let held = wsgi_posix_send_buffer(writeEnd.number, Int32(clamping: max(wanted, RequestQueue.leastBuffer)))
    guard held >= 0 else { throw QueueFailure(errno: -held) }
    // Nothing travels back: a worker must not be able to fill the other direction.
    _ = shutdown(readEnd.number, Int32(SHUT_WR))
  }
}

/// A queue or a channel could not be made.
public struct QueueFailure: Error, Equatable, Sendable {
  public let errno: Int32
  public init(errno: Int32) { self.errno = errno }
}

/// The queue of a process group as httpd's children put requests into it, and the limits that its directive set.
public struct GroupQueue: Sendable {
  /// Where its requests are counted.
  public var row: RequestBook.Row
  /// The end that requests are put into; it stays the owner's.
  public var writeEnd: Int32
  /// Where a new write end is offered when a process has shut the queue down; -1: nowhere.
  public var renewal: Int32 = -1
  /// Where the group's processes note which request they took; nil: nowhere.
  public var owners: RequestOwners?
  /// Files of responses may come as descriptors. The sender can choose one so that to read from it, and even to close it, takes
  /// as long as he likes: it is for groups whose processes could do httpd's as much harm without.
  public var acceptsDescriptors = true
  /// The most requests in flight at a time: queue-limit.
  public var inFlightLimit = Int.max
  /// How often a request may be queued: 2 × processes + 1.
  public var attempts: UInt32 = 3
  /// All in milliseconds; 0: connect-timeout tries once, the others do not limit.
  public var connectTimeout: Int64 = 15_000
  public var queueTimeout: Int64 = 0
  public var socketTimeout: Int64 = 60_000
  /// response-flush-delay.
  public var flushDelay: Int64 = 5
  /// response-buffer-size: bytes towards the client after which they are flushed, come what may.
  public var flushSize = 8 << 20
  /// response-spool: the most of a response that is kept for a client that does not keep up with it.
  public var responseSpool = 1 << 20
  /// spool-limit: the most bytes in files that the group's requests and responses are kept in; 0: no limit.
  public var spoolLimit = 0
  /// send-buffer-size and receive-buffer-size: how much of a response, and of a request body, may lie in a channel; 0: as much
  /// as the system gives.
  public var sendBuffer: Int32 = 0
  public var receiveBuffer: Int32 = 0

  public init(row: RequestBook.Row, writeEnd: Int32) {
    self.row = row
    self.writeEnd = writeEnd
  }
}

/// The header of a queue message, before the request head.
///
/// Layout, 40 bytes in host order: u32 magic, u32 flags, u32 head length, i32 log level, i64 queue start (microseconds since the
/// epoch), u32 attempt, u32 place on the group's `RequestOwners` (0: none), u32 body time in
/// milliseconds, u32 0.
public struct QueueEnvelope: Equatable, Sendable {
  public struct Flags: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// The head is in the file whose descriptor follows the channel's.
    static let headInFile = Flags(rawValue: 1)
    /// The child wants to know when the request leaves the queue.
    public static let announce = Flags(rawValue: 2)
    /// The channel carries bytes alone.
    static let plain = Flags(rawValue: 4)
    /// No descriptors are sent on the channel, whatever it is.
    static let bytesOnly = Flags(rawValue: 8)
    /// The child may take the request back: a process that takes it from a session slot's queue must lay claim to it first.
    static let revocable = Flags(rawValue: 16)
  }

  /// The kind of the channel that comes along.
  public var channelKind: ChannelKind { flags.contains(.plain) ? .plain : .socket }

  /// Whether files may be sent on it as descriptors.
  public var takesDescriptors: Bool { flags.isDisjoint(with: [.plain, .bytesOnly]) }

  static let size = 40
  static let magic: UInt32 = 0x3151_5257  // "WRQ1"

  public var flags: Flags = []
  var headLength: UInt32 = 0
  /// The highest level that the request's log would keep.
  public var logLevel = LogLevel.error
  /// When the child put the request into the queue.
  public var queueStart: Int64 = 0
  /// 1 for the first time that this request is queued; each time that it is queued again, or handed over, it is one more.
  public var attempt: UInt32 = 1
  /// For how long the child received the request's body first, in milliseconds: time that the request has not waited.
  public var bodyTime: UInt32 = 0
  /// Where the process that takes the request notes that it did; 0: nowhere.
  var place: UInt32 = 0

  func encode(to bytes: UnsafeMutableRawPointer) {
    bytes.storeBytes(of: QueueEnvelope.magic, as: UInt32.self)
    bytes.storeBytes(of: flags.rawValue, toByteOffset: 4, as: UInt32.self)
    bytes.storeBytes(of: headLength, toByteOffset: 8, as: UInt32.self)
    bytes.storeBytes(of: logLevel.rawValue, toByteOffset: 12, as: Int32.self)
    bytes.storeBytes(of: queueStart, toByteOffset: 16, as: Int64.self)
    bytes.storeBytes(of: attempt, toByteOffset: 24, as: UInt32.self)
    bytes.storeBytes(of: place, toByteOffset: 28, as: UInt32.self)
    bytes.storeBytes(of: bodyTime, toByteOffset: 32, as: UInt32.self)
    bytes.storeBytes(of: 0, toByteOffset: 36, as: UInt32.self)
  }

  public init() {}

  init?(decoding bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= QueueEnvelope.size, bytes.loadUnaligned(as: UInt32.self) == QueueEnvelope.magic else { return nil }
    flags = Flags(rawValue: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    guard flags.isSubset(of: [.headInFile, .announce, .plain, .bytesOnly, .revocable]) else { return nil }
    headLength = bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    logLevel = LogLevel(clamping: bytes.loadUnaligned(fromByteOffset: 12, as: Int32.self))
    queueStart = bytes.loadUnaligned(fromByteOffset: 16, as: Int64.self)
    attempt = bytes.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
    place = bytes.loadUnaligned(fromByteOffset: 28, as: UInt32.self)
    bodyTime = bytes.loadUnaligned(fromByteOffset: 32, as: UInt32.self)
    guard Int(headLength) <= RequestHead.limit else { return nil }
  }
}
