import WSGICore

/// httpd's knowledge of the resource that a request is for.
public struct ScriptResource: Sendable {
  public var exists = true
  public var isDirectory = false
  /// Options +ExecCGI.
  public var mayExecute = true
  public var hasPathInfo = false
  /// AcceptPathInfo Off.
  public var rejectsPathInfo = false

  public init() {}

  /// That it may be run as a script. A handler script is not the requested resource, which then need not exist.
  public func check(isAliased: Bool, handlerScript: HandlerScript?) throws(Refusal) {
    if !mayExecute, handlerScript.map(\.requiresExecCGI) ?? !isAliased {
      throw Refusal(403, "WSGI0134: Options ExecCGI is off in this directory; add 'Options +ExecCGI' or use WSGIScriptAlias.")
    }
    guard handlerScript == nil else { return }
    guard exists else { throw Refusal(404, "WSGI0135: Target WSGI script not found or unable to stat.") }
    guard !isDirectory else { throw Refusal(403, "WSGI0136: Attempt to invoke directory as WSGI application.") }
    if rejectsPathInfo, hasPathInfo { throw Refusal(404, "WSGI0137: AcceptPathInfo off disallows user's path.") }
  }
}

/// The body that a request announces.
public struct RequestBody: Equatable, Sendable {
  /// -1: none, or not known.
  public let length: Int64
  public let isThere: Bool

  /// Reads the headers `Transfer-Encoding` and `Content-Length`, where there are such, and refuses a body that cannot be read.
  ///
  /// - limit: LimitRequestBody; 0: none.
  public init(
    transferEncoding: UnsafeRawBufferPointer?, contentLength: UnsafeRawBufferPointer?, limit: Int64, allowsChunked: Bool
  ) throws(Refusal) {
    if let encoding = unsafe transferEncoding {
      guard unsafe HeaderSyntax.equals(encoding, "chunked") else {
        throw Refusal(
          501, "WSGI0138: Unexpected value for Transfer-Encoding of '\(unsafe ByteText([UInt8](encoding)))' supplied.")
      }
      guard allowsChunked else {
        throw Refusal(411, "WSGI0139: Chunked request content not supported; WSGIChunkedRequest is off.")
      }
      length = -1
      isThere = true
      return
    }
    guard let text = unsafe contentLength else {
      length = -1
      isThere = false
      return
    }
    guard let announced = unsafe HeaderSyntax.length(text, upTo: .max) else {
      throw Refusal(400, "WSGI0141: Invalid Content-Length header value of '\(unsafe ByteText([UInt8](text)))' was supplied.")
    }
    guard limit <= 0 || announced <= limit else {
      throw Refusal(
        413, "WSGI0350: Request body of \(announced) bytes is larger than LimitRequestBody \(limit).", isRoutine: true)
    }
    length = announced
    isThere = announced > 0
  }
}
