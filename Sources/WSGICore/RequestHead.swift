/// The fixed part of an encoded request head.
///
/// Layout: u32 magic, u32 total length, u32 flags, u32 attempt (0: not queued), i64 content length (-1: none or unknown),
/// i64 script mtime (`ScriptTime`), i64 request start, i64 queue start (microseconds since the epoch; 0: none), then four counted
/// names (process group, application group, script path, callable object), then the environ as pairs.
///
/// The first pair is httpd's id of the request, so that it is found without a search.
///
/// The environ holds every string-valued key. The keys whose values are not strings (`wsgi.version`, the time stamps, …) and
/// the four names are added by the engine. A key that appears twice takes its last value.
public struct RequestHead {
  public struct Flags: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// WSGIScriptReloading is on.
    public static let scriptReloading = Flags(rawValue: 1)
    /// WSGIIgnoreActivity is on: the request does not refresh the inactivity timer.
    public static let ignoreActivity = Flags(rawValue: 2)
    /// The request has a body: a Content-Length above 0, or a chunked body.
    public static let hasBody = Flags(rawValue: 4)
    /// `wsgi.url_scheme` is `https`.
    public static let https = Flags(rawValue: 8)
    /// The method that the client sent is HEAD, whatever REQUEST_METHOD says.
    public static let isHead = Flags(rawValue: 16)
    /// WSGIPassApacheRequest is on.
    public static let passRequest = Flags(rawValue: 32)
    /// WSGIHandlerScript: the script is not the requested resource, and `reload_required` gets SCRIPT_FILENAME.
    public static let handlerScript = Flags(rawValue: 64)
    /// An auth, access or dispatch script: no wsgi.input and no application.
    public static let serviceCall = Flags(rawValue: 128)
    /// The client asks for parts of the response, which httpd can give of a file that it is handed as one.
    public static let wantsRanges = Flags(rawValue: 512)
    /// The configuration does not fix the application group's name: the number of such interpreters is limited.
    public static let openName = Flags(rawValue: 1024)
    /// A changed script is answered by another interpreter in place of its own: `reload=interpreter`, WSGIReloadMechanism.
    public static let replacesInterpreter = Flags(rawValue: 2048)
  }

  public static let magic: UInt32 = 0x3148_5257  // "WRH1"
  /// The most that a head may hold; httpd's own limits keep requests far below it.
  public static let limit = 16 << 20
  /// The most pairs that a head may hold.
  public static let pairLimit = 65536

  public var flags: Flags = []
  /// How often the request was queued for a daemon process so far; 0 in embedded mode.
  public var attempt: UInt32 = 0
  public var contentLength: Int64 = -1
  public var scriptModified: Int64 = 0
  public var requestStart: Int64 = 0
  public var queueStart: Int64 = 0
  public var processGroup: UnsafeRawBufferPointer
  public var applicationGroup: UnsafeRawBufferPointer
  public var script: UnsafeRawBufferPointer
  public var callable: UnsafeRawBufferPointer
  /// How many pairs `environ` will give.
  public private(set) var pairCount: UInt32 = 0
  /// Reads the environ's pairs, from the first.
  public private(set) var environ: FlatReader

  /// Decodes a head that borrows `bytes`. Only the fixed part and the names are checked; each pair is when it is read.
  public init(decoding bytes: UnsafeRawBufferPointer) throws(FlatFailure) {
    var reader = FlatReader(bytes)
    guard try reader.readUInt32() == RequestHead.magic else { throw .badMagic }
    let total = try reader.readUInt32()
    guard Int(total) == bytes.count, bytes.count <= RequestHead.limit else { throw .truncated }
    flags = Flags(rawValue: try reader.readUInt32())
    attempt = try reader.readUInt32()
    contentLength = try reader.readInt64()
    scriptModified = try reader.readInt64()
    requestStart = try reader.readInt64()
    queueStart = try reader.readInt64()
    processGroup = try reader.readCounted()
    applicationGroup = try reader.readCounted()
    script = try reader.readCounted()
    callable = try reader.readCounted()
    let count = try reader.readUInt32()
    guard count <= RequestHead.pairLimit else { throw .tooMany }
    pairCount = count
    environ = reader
  }

  /// The key of httpd's id of the request.
  public static let requestIDKey: StaticString = "mod_wsgi.request_id"

  /// httpd's id of the request, `%L` in its logs; nil where the environ does not begin with it.
  public var requestID: UnsafeRawBufferPointer? {
    var reader = environ
    let wanted = UnsafeRawBufferPointer(
      start: RequestHead.requestIDKey.utf8Start, count: RequestHead.requestIDKey.utf8CodeUnitCount)
    guard pairCount > 0, let (key, value) = try? reader.readPair(), key.elementsEqual(wanted) else { return nil }
    return value
  }

  /// Where `queue start` stands, for the queue, which stamps an encoded head when it sends it.
  public static let queueStartOffset = 40
  /// Where the flags and `attempt` stand.
  public static let flagsOffset = 8
  public static let attemptOffset = 12
}

/// Writes a request head: `begin`, then pairs on `writer`, then `finish`.
public struct RequestHeadWriter: ~Copyable {
  public var writer: FlatWriter
  private var countOffset = 0

  public init(capacity: Int = 8192) { writer = FlatWriter(capacity: capacity) }

  /// Starts a new head, dropping what was written before.
  public mutating func begin(
    flags: RequestHead.Flags, contentLength: Int64, scriptModified: Int64, requestStart: Int64, queueStart: Int64 = 0,
    processGroup: UnsafeRawBufferPointer, applicationGroup: UnsafeRawBufferPointer, script: UnsafeRawBufferPointer,
    callable: UnsafeRawBufferPointer
  ) {
    writer.reset()
    writer.append(RequestHead.magic)
    writer.append(UInt32(0))
    writer.append(flags.rawValue)
    writer.append(UInt32(0))
    writer.append(contentLength)
    writer.append(scriptModified)
    writer.append(requestStart)
    writer.append(queueStart)
    writer.appendCounted(processGroup)
    writer.appendCounted(applicationGroup)
    writer.appendCounted(script)
    writer.appendCounted(callable)
    countOffset = writer.count
    writer.append(UInt32(0))
  }

  /// Fills in the counts and gives the encoded head, valid until the writer is used again.
  public mutating func finish(pairs: Int) -> UnsafeRawBufferPointer {
    writer.patch(UInt32(clamping: pairs), at: countOffset)
    writer.patch(UInt32(clamping: writer.count), at: 4)
    return writer.bytes
  }
}
