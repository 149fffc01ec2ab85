/// A response's status line and headers, as the engine encodes them and the httpd side decodes them.
///
/// Layout: u32 magic, u32 status, i64 content length (-1: the application gave none), counted reason (without the
/// number), headers as pairs in the application's order, Content-Length among them.
public struct ResponseHead {
  public static let magic: UInt32 = 0x3148_5352  // "RSH1"
  /// The most that an encoded head may hold.
  public static let limit = 16 << 20
  /// The most headers that a response may have.
  public static let headerLimit = 65536

  public let status: UInt32
  public let contentLength: Int64
  public let reason: UnsafeRawBufferPointer
  public let headerCount: UInt32
  /// Reads the headers, from the first.
  public let headers: FlatReader

  /// Decodes a head that borrows `bytes`; each header is checked when it is read.
  public init(decoding bytes: UnsafeRawBufferPointer) throws(FlatFailure) {
    guard bytes.count <= ResponseHead.limit else { throw .tooMany }
    var reader = FlatReader(bytes)
    guard try reader.readUInt32() == ResponseHead.magic else { throw .badMagic }
    status = try reader.readUInt32()
    // What is below announces another response, or another protocol, and is httpd's to send.
    guard (200...999).contains(status) else { throw .badMagic }
    contentLength = try reader.readInt64()
    reason = try reader.readCounted()
    headerCount = try reader.readUInt32()
    guard headerCount <= ResponseHead.headerLimit else { throw .tooMany }
    headers = reader
  }

  /// Bytes of the headers as HTTP writes them: of all, and of the longest.
  public func headerSizes() throws(FlatFailure) -> (all: Int, longest: Int) {
    var reader = headers
    var all = 0
    var longest = 0
    for _ in 0..<headerCount {
      let (name, value) = try reader.readPair()
      let size = name.count + 2 + (value?.count ?? 0) + 2
      all += size
      longest = max(longest, size)
    }
    return (all, longest)
  }

  /// Why httpd must not send this head; nil: it may. An engine has seen to all of it, but what runs in a daemon process is a
  /// tenant's, and may speak for itself.
  public func objection() throws(FlatFailure) -> String? {
    guard HeaderSyntax.isFieldContent(reason) else { return "control character in reason phrase \(bytesLiteral(reason))" }
    var headers = headers
    for _ in 0..<headerCount {
      let (name, value) = try headers.readPair()
      guard let value else { return "header \(bytesLiteral(name)) has no value" }
      guard HeaderSyntax.isToken(name), HeaderSyntax.isFieldContent(value) else {
        return "malformed header \(bytesLiteral(name)) with value \(bytesLiteral(value))"
      }
      switch HeaderSyntax.meaning(name) {
      case .ordinary: break
      case .contentLength where HeaderSyntax.length(value) == contentLength: break
      case .contentLength: return "malformed or conflicting content length \(bytesLiteral(value))"
      case .connection where HeaderSyntax.equals(value, "close"): break
      case .connection, .hopByHop:
        return "header \(bytesLiteral(name)) with value \(bytesLiteral(value)) is the server's to send"
      }
    }
    return nil
  }
}
