import WSGICore

/// The kind of a frame on the channel. Below 16: from the worker; from 16: from the httpd child.
public enum FrameKind: UInt8, Sendable {
  /// The request has left the queue (only where the envelope asked to be told).
  case taken = 1
  /// Not run here: the script changed or the worker is ending. The child sends the request to the queue again.
  case stale = 2
  /// The application reads the request body. Until then the child has read none of it from the client.
  case wantBody = 3
  /// A response head and the first bytes of its body.
  case response = 4
  /// More bytes of the body.
  case data = 5
  /// A range of a regular file whose descriptor comes along, with the head if none was sent; ends the response.
  case file = 6
  /// A log record of the request: a file name as head, the text as data.
  case log = 7
  /// Nothing was sent and nothing will be: the child answers with a status.
  case failed = 8
  /// The response was begun and cannot be completed.
  case aborted = 9
  /// Bytes of the request body.
  case body = 16
  /// The request body cannot be read to its end.
  case bodyFailed = 17
}

/// The fixed start of every frame, followed by `headLength` and then `dataLength` bytes.
///
/// Layout, 16 bytes in host order: u8 kind, u8 flags, u16 mark, u32 head length, u32 data length, u32 extra.
public struct FrameHeader: Equatable, Sendable {
  public struct Flags: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Nothing of this direction follows.
    public static let end = Flags(rawValue: 1)
    /// These bytes are to be on their way to the client soon, whether or not more come.
    public static let flush = Flags(rawValue: 2)
    /// These bytes are those of a file, which on a socket would have crossed as a descriptor.
    public static let ofFile = Flags(rawValue: 4)
  }

  public static let size = 16
  static let mark: UInt16 = 0x4657

  public var kind: FrameKind
  /// For `log` the raw value is the level.
  public var flags: Flags
  public var headLength: UInt32
  public var dataLength: UInt32
  /// `failed`: the status. `log`: the line number. `bodyFailed`: an `ExchangeFailure`'s magnitude. Else, from the worker: its
  /// process id.
  public var extra: UInt32

  public init(_ kind: FrameKind, flags: Flags = [], head: Int = 0, data: Int = 0, extra: UInt32 = 0) {
    self.kind = kind
    self.flags = flags
    headLength = UInt32(clamping: head)
    dataLength = UInt32(clamping: data)
    self.extra = extra
  }
}

/// How much a frame may hold. A sender stays below, a receiver refuses what is above.
public enum FrameLimits {
  /// An encoded response head: what a child will hold in memory at once for a worker.
  public static let responseHead = 1 << 20
  /// The body bytes of one `response` or `data` frame; a longer body is several frames.
  public static let responseData = 16 << 20
  /// A response of up to so many bytes that is complete with its first frame is given to a client that asks for ranges in one
  /// piece: ranges can be taken of nothing else.
  static let wholeResponse = 64 << 10
  /// The body bytes of one `body` frame.
  public static let bodyData = 1 << 20
  /// The file name of a log record, whose text has `LogPieces.limit`; the reason of a failure.
  public static let name = 4 << 10
  /// Offset and length, behind the head of a `file` frame.
  static let fileData = 16
}

/// Why bytes on the channel are not what the other side may send.
public enum FrameFailure: Error, Equatable, Sendable {
  case badMark
  case unknownKind(UInt8)
  case wrongDirection(FrameKind)
  case badFlags(FrameKind)
  case tooLong(FrameKind)
  /// A frame at a point of the conversation where it has no meaning.
  case outOfTurn(FrameKind)
  /// A `file` frame without a regular, readable file that holds its range, or a descriptor without such a frame.
  case badDescriptor
}

extension FrameFailure: CustomStringConvertible {
  /// A phrase for the log.
  public var description: String {
    switch self {
    case .badMark: "bytes that are not a frame"
    case .unknownKind(let number): "a frame of unknown kind \(number)"
    case .wrongDirection(let kind): "a frame of kind \(kind.rawValue), which is httpd's to send"
    case .badFlags(let kind): "a frame of kind \(kind.rawValue) with invalid flags"
    case .tooLong(let kind): "a frame of kind \(kind.rawValue) with an invalid length"
    case .outOfTurn(let kind): "a frame of kind \(kind.rawValue) out of turn"
    case .badDescriptor: "a descriptor without a file frame, or a file frame without a regular file that holds its range"
    }
  }
}

public enum ChannelSide: Sendable { case child, worker }

/// The sockets of a channel.
///
/// It always is a pair of sockets: a pipe is locked while a writer copies into it, and a process that never gets on with that
/// would keep the reader, a thread of httpd's, for good. A plain one carries neither a request body nor a descriptor, and the
/// kernel is told to refuse descriptors where it can: it is for requests without a body that ask for a whole response, and the
/// bytes of a file cross in it as data. Of process groups that send files, a client remembers that for its next requests, and
/// brings a socket pair that takes descriptors.
public enum ChannelKind: Sendable { case socket, plain }

extension FrameHeader {
  /// Reads `size` bytes written by `sender`, and refuses a header that it may not send.
  @inline(__always)
  init(decoding bytes: UnsafeRawPointer, from sender: ChannelSide) throws(FrameFailure) {
    guard bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self) == FrameHeader.mark else { throw .badMark }
    let rawKind = bytes.load(as: UInt8.self)
    guard let kind = FrameKind(rawValue: rawKind) else { throw .unknownKind(rawKind) }
    guard (rawKind >= FrameKind.body.rawValue) == (sender == .child) else { throw .wrongDirection(kind) }
    self.kind = kind
    flags = Flags(rawValue: bytes.load(fromByteOffset: 1, as: UInt8.self))
    headLength = bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
    dataLength = bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    extra = bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self)
    let rule = kind.rule
    guard flags.rawValue & ~rule.flags == 0 else { throw .badFlags(kind) }
    guard headLength <= rule.head, dataLength >= rule.leastData, dataLength <= rule.mostData else { throw .tooLong(kind) }
  }

  @inline(__always)
  func encode(to bytes: UnsafeMutableRawPointer) {
    bytes.storeBytes(of: kind.rawValue, as: UInt8.self)
    bytes.storeBytes(of: flags.rawValue, toByteOffset: 1, as: UInt8.self)
    bytes.storeBytes(of: FrameHeader.mark, toByteOffset: 2, as: UInt16.self)
    bytes.storeBytes(of: headLength, toByteOffset: 4, as: UInt32.self)
    bytes.storeBytes(of: dataLength, toByteOffset: 8, as: UInt32.self)
    bytes.storeBytes(of: extra, toByteOffset: 12, as: UInt32.self)
  }
}

extension FrameKind {
  /// The contents allowed in a frame of this kind.
  @inline(__always)
  var rule: (flags: UInt8, head: UInt32, leastData: UInt32, mostData: UInt32) {
    switch self {
    case .taken, .stale, .wantBody, .bodyFailed: (0, 0, 0, 0)
    case .response: (7, UInt32(FrameLimits.responseHead), 0, UInt32(FrameLimits.responseData))
    case .data: (7, 0, 0, UInt32(FrameLimits.responseData))
    case .file: (0, UInt32(FrameLimits.responseHead), UInt32(FrameLimits.fileData), UInt32(FrameLimits.fileData))
    case .log: (15, UInt32(FrameLimits.name), 0, UInt32(LogPieces.limit))
    case .failed, .aborted: (0, 0, 0, UInt32(FrameLimits.name))
    case .body: (1, 0, 0, UInt32(FrameLimits.bodyData))
    }
  }
}
