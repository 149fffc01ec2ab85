import WSGICore

/// A request that runs, as its daemon process tells `wsgictl requests`. Method, path and id may hold any bytes.
///
/// A process writes a u32 magic, a u32 with their number, and for each, in host order: i64 age, i32 thread, u32 1 if the path is
/// cut, and the counted id, method and path.
public struct CurrentRequest: Equatable, Sendable {
  /// Of the client's; empty: the process could not read it.
  public var method: [UInt8] = []
  /// `SCRIPT_NAME` and `PATH_INFO`, without the query string.
  public private(set) var path: [UInt8] = []
  /// The path is longer than that.
  public private(set) var isCut = false
  /// How long a thread has had it, in milliseconds.
  public var age: Int64 = 0
  /// The kernel's number of the thread.
  public var thread: Int32 = 0
  /// httpd's id of it; empty: it has none.
  public var id: [UInt8] = []

  public static let pathLimit = 1024
  /// Of the method, and of the id.
  static let nameLimit = 64
  private static let magic: UInt32 = 0x3151_4352

  public init() {}

  public mutating func setPath(_ parts: [UnsafeRawBufferPointer]) {
    path = []
    for part in parts { path += part.prefix(Self.pathLimit - path.count) }
    isCut = parts.reduce(0) { $0 &+ $1.count } > path.count
  }

  // MARK: writing

  public static func encode(_ requests: [CurrentRequest]) -> [UInt8] {
    var writer = FlatWriter()
    writer.append(magic)
    writer.append(UInt32(clamping: requests.count))
    for request in requests {
      writer.append(request.age)
      writer.append(UInt32(bitPattern: request.thread))
      writer.append(request.isCut ? UInt32(1) : 0)
      for text in [request.id.prefix(nameLimit), request.method.prefix(nameLimit), request.path[...]] {
        text.withUnsafeBytes { writer.appendCounted($0) }
      }
    }
    return Array(writer.bytes)
  }

  // MARK: reading

  /// nil: not what a process writes, or not all of it.
  public static func decode(_ bytes: UnsafeRawBufferPointer) -> [CurrentRequest]? {
    var reader = FlatReader(bytes)
    guard (try? reader.readUInt32()) == magic, let count = try? reader.readUInt32() else { return nil }
    var requests: [CurrentRequest] = []
    for _ in 0..<count {
      guard let request = try? read(&reader) else { return nil }
      requests.append(request)
    }
    return reader.remaining == 0 ? requests : nil
  }

  private static func read(_ reader: inout FlatReader) throws(FlatFailure) -> CurrentRequest {
    var request = CurrentRequest()
    request.age = max(0, try reader.readInt64())
    request.thread = Int32(bitPattern: try reader.readUInt32())
    request.isCut = try reader.readUInt32() != 0
    request.id = try readText(&reader, limit: nameLimit)
    request.method = try readText(&reader, limit: nameLimit)
    request.path = try readText(&reader, limit: pathLimit)
    return request
  }

  private static func readText(_ reader: inout FlatReader, limit: Int) throws(FlatFailure) -> [UInt8] {
    let text = try reader.readCounted()
    guard text.count <= limit else { throw .tooMany }
    return Array(text)
  }
}
