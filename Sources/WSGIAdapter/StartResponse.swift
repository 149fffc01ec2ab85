import Platform
import PythonRuntime
import WSGICore

/// The `start_response` callable of one request, and its `write` (PEP 3333).
///
/// Status and headers are checked and encoded as they come; nothing of them is kept as Python objects.
final class StartResponse: NativeObject {
  static let methods: [StaticString] = ["write"]

  unowned(unsafe) let runner: RequestRunner
  /// False once its request has ended and an application has kept it: the runner goes on with others.
  var isValid = true

  init(_ runner: RequestRunner) { self.runner = runner }

  override func call(_ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    try arguments.expect(2...3, "start_response")
    guard isValid, runner.isActive else { throw Raised(.runtimeError, "start_response() called after request completed") }
    guard let status = arguments[0], let headers = arguments[1] else { throw Raised(.typeError, "missing arguments") }
    let excInfo = arguments[2].flatMap { $0.isNone ? nil : $0 }
    if runner.contents.hasEventSubscribers { runner.publishResponseStarted(status, headers, excInfo) }
    guard runner.awaitHost(gil), isValid, runner.isActive else {
      throw Raised(.runtimeError, "start_response() called after request completed")
    }
    guard headers.isList else {
      throw Raised(.typeError, "response headers must be a list, not \(headers.typeName): \(headers.shown())")
    }
    if let excInfo {
      try checkExcInfo(excInfo)
    } else if runner.isCommitted {
      throw Raised(.runtimeError, "headers have already been sent: start_response() called more than once without exc_info")
    }
    if runner.isStarted && excInfo == nil { warnOfRestart() }
    runner.stage.restart()
    let code = try parseStatus(status)
    try encodeHeaders(headers)
    runner.status = code
    runner.stage.start()
    return try runner.objects.startResponse.orNone.attribute(runner.contents.names.write)
  }

  override func invoke(_ method: Int, _ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    try arguments.expect(1...1, "write")
    let data = arguments[0] ?? .none
    guard isValid, runner.isActive else { throw Raised(.runtimeError, "write() called after request completed") }
    guard data.isBytes else {
      throw Raised(.typeError, "write() argument must be bytes, not \(data.typeName): \(data.shown())")
    }
    let reference = data.retained()  // the caller may drop its own while the GIL is away
    do throws(WriteFailure) { try runner.transmit(reference.object.bytes, .flush, counts: true, gil) } catch {
      switch error {
      case .notStarted: throw Raised(.runtimeError, "write() called before start_response()")
      case .exchange(.closed): throw Raised(.osError, "mod_wsgi client connection closed")
      case .exchange(.timedOut): throw Raised(.osError, "mod_wsgi failed to write response data: timed out")
      case .exchange: throw Raised(.osError, "mod_wsgi failed to write response data")
      }
    }
    return .none()
  }

  private func checkExcInfo(_ excInfo: PyObj) throws(Raised) {
    guard excInfo.isTuple else {
      throw Raised(.runtimeError, "exception info must be a tuple, not \(excInfo.typeName): \(excInfo.shown())")
    }
    guard runner.isCommitted else { return }
    guard excInfo.tupleCount == 3 else {
      throw Raised(.valueError, "exception info must have three items, not \(excInfo.tupleCount)")
    }
    throw Raised(excInfo: excInfo.tupleItem(0), excInfo.tupleItem(1), excInfo.tupleItem(2))
  }

  /// A str's bytes, which must all be below U+0100. `what` names it in an exception.
  @inline(__always)
  private func latin1(_ object: PyObj, _ what: @autoclosure () -> String) throws(Raised) -> UnsafeRawBufferPointer {
    if let bytes = object.latin1 { return bytes }
    throw notLatin1(object, what())
  }

  @inline(never)
  private func notLatin1(_ object: PyObj, _ what: String) -> Raised {
    guard object.isString else {
      return Raised(.typeError, "\(what) must be str, not \(object.typeName): \(object.shown())")
    }
    return Raised.notLatin1(object, what)
  }

  private func parseStatus(_ object: PyObj) throws(Raised) -> UInt32 {
    let bytes = try latin1(object, "status")
    var code: UInt32 = 0
    guard bytes.count >= 3 else { throw notThreeDigits(bytes) }
    for index in 0..<3 {
      let digit = bytes[index] &- UInt8(ascii: "0")
      guard digit <= 9 else { throw notThreeDigits(bytes) }
      code = code &* 10 &+ UInt32(digit)
    }
    guard code >= 100 else { throw notThreeDigits(bytes) }
    guard code >= 200 else {
      throw Raised(.valueError, "status code must be 200 or more, the others are the server's to send: \(bytesLiteral(bytes))")
    }
    var reason = UnsafeRawBufferPointer(start: nil, count: 0)
    if bytes.count > 3 {
      guard bytes[3] == UInt8(ascii: " ") else {
        if bytes[3] &- UInt8(ascii: "0") <= 9 { throw notThreeDigits(bytes) }
        throw Raised(.valueError, "no space following status code: \(bytesLiteral(bytes))")
      }
      reason = UnsafeRawBufferPointer(rebasing: bytes[4...])
      for byte in reason where byte < 0x20 || byte == 0x7F {
        throw Raised(.valueError, "control character present in reason phrase: \(bytesLiteral(reason))")
      }
    }
    runner.head.begin(status: code, reason: reason)
    return code
  }

  private func notThreeDigits(_ status: UnsafeRawBufferPointer) -> Raised {
    Raised(.valueError, "status code must be a 3 digit integer: \(bytesLiteral(status))")
  }

  private func encodeHeaders(_ headers: PyObj) throws(Raised) {
    let count = headers.listCount
    guard count <= ResponseHead.headerLimit else { throw Raised(.valueError, "more than \(ResponseHead.headerLimit) headers") }
    for index in 0..<count {
      // Nothing below runs Python code that could change the list, unless it raises.
      let item = headers.listItem(index)
      guard item.isTuple, item.tupleCount == 2 else { throw notAPair(item) }
      var name = try latin1(item.tupleItem(0), "header name")
      let value = try latin1(item.tupleItem(1), "value of header \(bytesLiteral(name))")
      if !HeaderSyntax.isToken(name) { name = try mended(name, value) }
      guard HeaderSyntax.isFieldContent(value) else {
        throw Raised(.valueError, "control character in value of header \(bytesLiteral(name)): \(bytesLiteral(value))")
      }
      try encode(name, value)
      guard runner.head.size <= ResponseHead.limit else { throw Raised(.valueError, "response headers are too large") }
    }
  }

  private func notAPair(_ item: PyObj) -> Raised {
    let item = item.retained()
    let shown = item.object.shown()
    guard item.object.isTuple else {
      return Raised(.typeError, "each header must be a 2-tuple, not \(item.object.typeName): \(shown)")
    }
    return Raised(.valueError, "each header must be a tuple of two items, not \(item.object.tupleCount): \(shown)")
  }

  /// Older applications send a name with a colon behind it, as in the message itself; any other malformed name is refused.
  private func mended(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(Raised) -> UnsafeRawBufferPointer {
    let stem = UnsafeRawBufferPointer(rebasing: name.dropLast())
    guard name.last == UInt8(ascii: ":"), HeaderSyntax.isToken(stem) else {
      let fault = name.isEmpty ? "header name must not be empty" : "malformed header name \(bytesLiteral(name))"
      throw Raised(.valueError, "\(fault), its value is \(bytesLiteral(value))")
    }
    warn(
      runner.contents.colonWarning,
      "WSGI0640: WSGI script \(runner.scriptLabel) sends a header whose name ends with a colon, \(bytesLiteral(name)) with value "
        + "\(bytesLiteral(value)); dropping the colon. Not logged again.")
    return stem
  }

  @inline(__always)
  private func encode(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(Raised) {
    switch HeaderSyntax.meaning(name) {
    case .ordinary: break
    case .contentLength:
      guard let length = HeaderSyntax.length(value) else {
        throw Raised(.valueError, "invalid content length: \(bytesLiteral(value))")
      }
      let before = runner.head.contentLength
      if before == length { return }
      guard before < 0 else { throw Raised(.valueError, "two content lengths: \(before) and \(length)") }
      runner.head.contentLength = length
    case .connection:
      guard HeaderSyntax.asksToClose(value) else { return warnOfDropping(name, value) }
      return runner.head.append(name, RequestPairs.bytes("close"))
    case .hopByHop: return warnOfDropping(name, value)
    }
    runner.head.append(name, value)
  }

  // MARK: warnings, each once in an interpreter

  private func warn(_ once: FirstTime, _ sentence: @autoclosure () -> String) {
    if once.isFirst { runner.adapter.logHere(.warning, sentence()) }
  }

  private func warnOfRestart() {
    warn(
      runner.contents.restartWarning,
      "WSGI0504: start_response() called again without exc_info before any output; PEP 3333 forbids that. "
        + "The last call takes effect.")
  }

  private func warnOfDropping(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    warn(
      runner.contents.hopWarning,
      "WSGI0641: WSGI script \(runner.scriptLabel) sends header \(bytesLiteral(name)) with value \(bytesLiteral(value)), which "
        + "only the server may send; dropped, as are other headers that concern the connection. Not logged again.")
  }
}

/// The encoded response head of one thread, kept from request to request (ResponseHead has the layout).
struct ResponseHeadWriter: ~Copyable {
  private var writer = FlatWriter(capacity: 1024)
  private var countOffset = 0
  private var headers: UInt32 = 0
  /// -1: the application gave none.
  var contentLength: Int64 = -1

  mutating func begin(status: UInt32, reason: UnsafeRawBufferPointer) {
    writer.reset()
    contentLength = -1
    headers = 0
    writer.append(ResponseHead.magic)
    writer.append(status)
    writer.append(Int64(-1))
    writer.appendCounted(reason)
    countOffset = writer.count
    writer.append(UInt32(0))
  }

  var size: Int { writer.count }

  mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    writer.appendPair(name, value)
    headers &+= 1
  }

  /// Adds a Content-Length that the application left out.
  mutating func addContentLength(_ length: Int64) {
    contentLength = length
    var text = String(length)
    text.withUTF8 { writer.appendPair("Content-Length", UnsafeRawBufferPointer($0)) }
    headers &+= 1
  }

  /// The encoded head, valid until the next change.
  mutating func finish() -> UnsafeRawBufferPointer {
    writer.patch(headers, at: countOffset)
    let length = UInt64(bitPattern: contentLength)
    writer.patch(UInt32(truncatingIfNeeded: length), at: 8)
    writer.patch(UInt32(truncatingIfNeeded: length >> 32), at: 12)
    return writer.bytes
  }
}
