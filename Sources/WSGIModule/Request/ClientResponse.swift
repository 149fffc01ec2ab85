import CHTTPD
import Glibc
import WSGICore

/// A response on its way through httpd's filters to the client; the same for embedded and daemon applications.
///
/// It belongs to the thread that handles the request, and lives as long as the handler runs. Functions give 0 or one of
/// `engine.h`'s `WSGI_IO_…`.
struct ClientResponse: ~Copyable {
  enum Phase {
    case awaitingHead, sending
    /// The application's status is 400 or above and WSGIErrorOverride is on: httpd answers in its place.
    case overridden(status: Int32)
    case complete
    /// A filter of httpd has answered, or the client has gone: nothing more can be sent.
    case closed
  }

  let request: OpaquePointer
  let overridesErrors: Bool
  let allowsSendfile: Bool
  private(set) var phase = Phase.awaitingHead
  /// The client took nothing for as long as it may.
  private(set) var hasTimedOut = false
  /// The response is incomplete, and the client can tell.
  private(set) var wasCut = false
  /// How much of Content-Length is still to come; -1 where the application gave none.
  private var remaining: Int64 = -1
  private var carriesBody = true
  private let brigade: OpaquePointer

  init(_ request: OpaquePointer, overridesErrors: Bool, allowsSendfile: Bool) {
    self.request = request
    self.overridesErrors = overridesErrors
    self.allowsSendfile = allowsSendfile
    brigade = wsgi_httpd_make_brigade(request)
  }

  // MARK: the body

  /// Sends bytes of the body, valid during the call; those beyond Content-Length are dropped.
  mutating func write(_ bytes: UnsafeRawBufferPointer, flush: Bool) -> Int32 {
    guard case .sending = phase else { return resultWhenNotSending }
    return pass(clip(bytes), flush ? WriteFlag.flush : 0)
  }

  /// Sends the last bytes. A body that is shorter than its Content-Length is cut, since the client waits for the rest.
  mutating func end(_ bytes: UnsafeRawBufferPointer, flush: Bool = false) -> Int32 {
    guard case .sending = phase else { return resultWhenNotSending }
    let taken = clip(bytes)
    return finish(taken, isCut: remaining > 0 && carriesBody, flush: flush)
  }

  /// Sends part of a regular file as the rest of the body. The descriptor stays the caller's.
  mutating func sendFile(descriptor: Int32, offset: Int64, length: Int64) -> Int32 {
    guard case .sending = phase else { return resultWhenNotSending }
    var about = stat()
    guard offset >= 0, length >= 0, fstat(descriptor, &about) == 0, about.st_mode & S_IFMT == S_IFREG else {
      return ExchangeFailure.failed.rawValue
    }
    let wanted = remaining >= 0 ? min(length, remaining) : length
    let available = min(wanted, max(0, Int64(about.st_size) - offset))
    if remaining >= 0 { remaining -= available }
    let isCut = (available < wanted || remaining > 0) && carriesBody
    guard available > 0 else { return finish(nothing, isCut: isCut) }
    let result = wsgi_httpd_write_file(
      request, brigade, descriptor, offset, available, allowsSendfile ? 1 : 0, isCut ? 0 : WriteFlag.end)
    guard result == 0 else { return close(result) }
    if isCut { cut() } else { phase = .complete }
    return 0
  }

  /// Ends a response that was begun so that the client sees that it is not whole.
  mutating func cut() {
    // Before the head has gone, httpd would take the news for a status of its own and answer with that.
    guard pass(nothing, WriteFlag.flush) == 0 else { return }
    wasCut = true
    wsgi_httpd_cut(request, brigade)
    phase = .complete
  }

  /// The client takes no more.
  mutating func timedOut() {
    phase = .closed
    hasTimedOut = true
    wsgi_httpd_give_up(request)
  }

  /// httpd has answered the client in our place, while the request's body was read.
  mutating func wasAnswered() { phase = .closed }

  private mutating func finish(_ bytes: UnsafeRawBufferPointer, isCut: Bool, flush: Bool = false) -> Int32 {
    let result = pass(bytes, (isCut ? 0 : WriteFlag.end) | (flush ? WriteFlag.flush : 0))
    guard result == 0 else { return result }
    if isCut { cut() } else { phase = .complete }
    return 0
  }

  /// The part of the bytes that Content-Length has room for.
  private mutating func clip(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    guard remaining >= 0 else { return bytes }
    let taken = UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(clamping: remaining)))
    remaining -= Int64(taken.count)
    return taken
  }

  private mutating func pass(_ bytes: UnsafeRawBufferPointer, _ flags: UInt32) -> Int32 {
    let result = wsgi_httpd_write(request, brigade, start(of: bytes), bytes.count, flags)
    return result == 0 ? 0 : close(result)
  }

  private mutating func close(_ result: Int32) -> Int32 {
    phase = .closed
    if result == ExchangeFailure.timedOut.rawValue { hasTimedOut = true }
    return result == ExchangeFailure.answered.rawValue ? ExchangeFailure.closed.rawValue : result
  }

  /// The result of a write when nothing is sent: an overridden response accepts everything and drops it.
  private var resultWhenNotSending: Int32 {
    if case .overridden = phase { return 0 }
    return ExchangeFailure.closed.rawValue
  }

  // MARK: the head

  /// Takes an encoded `ResponseHead`, which nothing has checked yet. `badHead`: it cannot be sent, and nothing was; the log says
  /// why. `script` is what it is of.
  mutating func begin(_ head: UnsafeRawBufferPointer, script: UnsafePointer<CChar>) -> Int32 {
    guard case .awaitingHead = phase else { return resultWhenNotSending }
    var objection = "its status is not between 200 and 999, or its encoding is malformed"
    do throws(FlatFailure) {
      let head = try ResponseHead(decoding: head)
      // Everything is looked at before anything is applied: a refused head must leave no trace in the error that follows.
      guard let found = try head.objection() else {
        try apply(head)
        return 0
      }
      objection = found
    } catch {}
    log(.error, request: request, script: script, "WSGI0148: Cannot send the response headers: \(objection).")
    return ExchangeFailure.badHead.rawValue
  }

  private mutating func apply(_ head: ResponseHead) throws(FlatFailure) {
    let status = Int32(clamping: head.status)
    let isOverridden = overridesErrors && status >= 400
    // httpd looks for an error document only where no other error stands on the request.
    if !isOverridden { wsgi_httpd_set_status(request, status, start(of: head.reason), head.reason.count) }
    let pool = wsgi_httpd_request_pool(request)
    var headers = head.headers
    for _ in 0..<head.headerCount {
      let (name, value) = try headers.readPair()
      add(name, value ?? nothing, pool)
    }
    if head.contentLength >= 0 { wsgi_httpd_set_content_length(request, head.contentLength) }
    if isOverridden {
      phase = .overridden(status: status)
    } else {
      wsgi_httpd_cancel_expectation(request)
      remaining = head.contentLength
      carriesBody = wsgi_httpd_is_header_only(request) == 0 && status != 204 && status != 304
      phase = .sending
    }
  }

  private func add(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ pool: OpaquePointer) {
    if HeaderSyntax.equals(name, "content-length") { return }
    let value = poolCopy(value, pool)
    if HeaderSyntax.equals(name, "content-type") {
      wsgi_httpd_set_content_type(request, value)
    } else if HeaderSyntax.equals(name, "www-authenticate") {
      wsgi_httpd_add_error_header(request, poolCopy(name, pool), value)
    } else {
      wsgi_httpd_add_header(request, poolCopy(name, pool), value)
    }
  }

  // MARK: the end

  /// The handler's result for httpd, once nothing more is sent. A response that was begun and is incomplete has been cut.
  var hookResult: Int32 {
    switch phase {
    case .complete, .sending: HookResult.ok
    case .overridden(let status): status
    case .closed: wsgi_httpd_is_aborted(request) != 0 ? HookResult.ok : HookResult.answered
    case .awaitingHead: wsgi_httpd_is_aborted(request) != 0 ? HookResult.ok : 500
    }
  }
}

/// A request's body as httpd's input filters give it: without its chunks, and cut off at LimitRequestBody.
struct ClientBody: ~Copyable {
  private let request: OpaquePointer
  private var brigade: OpaquePointer?
  private var failure: Int64 = 0
  /// A filter found the body wrong and has answered the client itself.
  private(set) var wasAnswered = false

  init(_ request: OpaquePointer) { self.request = request }

  /// Reads what is there; 0 at the end, else an `ExchangeFailure`'s value. A failure stays: what follows it cannot be told from
  /// the body.
  ///
  /// With `wait` at least one byte is brought. An empty buffer only asks a client for its body that waits to be asked.
  mutating func read(into buffer: UnsafeMutableRawBufferPointer, wait: Bool) -> Int64 {
    guard failure == 0 else { return failure }
    if !wait || buffer.isEmpty { wsgi_httpd_send_continue(request) }
    guard let start = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), !buffer.isEmpty else { return 0 }
    let brigade = brigade ?? wsgi_httpd_make_brigade(request)
    self.brigade = brigade
    let count = wsgi_httpd_read(request, brigade, start, buffer.count, wait ? 1 : 0)
    guard count < 0 else { return count }
    let reason = ExchangeFailure(code: count)
    if reason == .wouldBlock || reason == .heldBack { return count }
    wasAnswered = reason == .answered
    let isTooLarge = wasAnswered && wsgi_httpd_status(request) == 413
    failure = !wasAnswered ? count : Int64((isTooLarge ? ExchangeFailure.tooLarge : .failed).rawValue)
    return failure
  }
}
