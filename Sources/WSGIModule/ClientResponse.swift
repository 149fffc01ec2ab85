import CEngine
import CHTTPD
import Glibc
import WSGICore

/// A response on its way through httpd's filters to the client; the same for embedded and daemon applications.
///
/// It belongs to the thread that handles the request, and lives as long as the handler runs.
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
  /// Something of the head has been given to httpd.
  private(set) var isBegun = false
  /// How much of Content-Length is still to come; -1 where the application gave none.
  private var remaining: Int64 = -1
  private var carriesBody = true
  private var brigade: OpaquePointer?

  init(_ request: OpaquePointer, overridesErrors: Bool, allowsSendfile: Bool) {
    self.request = request
    self.overridesErrors = overridesErrors
    self.allowsSendfile = allowsSendfile
  }

  /// Bytes that a response head may take in httpd beside what the application gave.
  private static let headAllowance = 2048

  // MARK: sending

  /// Sends response bytes, as `engine.h` says of `send`.
  mutating func send(_ head: UnsafeRawBufferPointer?, _ body: UnsafeRawBufferPointer, flags: UInt32) -> Int32 {
    if flags & SendFlag.tryOnly != 0 {
      let length = body.count + (head.map { $0.count + ClientResponse.headAllowance } ?? 0)
      guard wsgi_httpd_would_fit(request, length) != 0 else { return IOResult.wouldBlock }
    }
    if let failure = begin(head) { return failure }
    guard case .sending = phase else { return resultWhenNotSending }
    let taken = clip(body)
    guard flags & SendFlag.end != 0 else { return write(taken, flags & SendFlag.flush != 0 ? WriteFlag.flush : 0) }
    return isShort ? sendShort(taken) : finish(taken)
  }

  /// Sends part of a regular file and ends the response. The descriptor stays the caller's.
  mutating func sendFile(_ head: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64) -> Int32 {
    guard offset >= 0, length >= 0 else { return IOResult.failed }
    let size = wsgi_httpd_file_size(descriptor)
    guard size >= 0 else { return IOResult.failed }
    if let failure = begin(head) { return failure }
    guard case .sending = phase else { return resultWhenNotSending }
    let wanted = remaining >= 0 ? min(length, remaining) : length
    let available = min(wanted, max(0, size - offset))
    if remaining >= 0 { remaining -= available }
    let isCut = available < wanted || isShort
    guard available > 0 else { return isCut ? sendShort(nothing) : finish(nothing) }
    let result = wsgi_httpd_write_file(
      request, makeBrigade(), descriptor, offset, available, allowsSendfile ? 1 : 0, isCut ? 0 : WriteFlag.end)
    guard result == 0 else { return close(result) }
    if isCut { cut() } else { phase = .complete }
    return 0
  }

  /// Ends a response that was begun so that the client sees that it is not whole.
  mutating func cut() {
    wsgi_httpd_cut(request, makeBrigade())
    phase = .complete
  }

  /// httpd has answered the client in our place, while the request's body was read.
  mutating func wasAnswered() { phase = .closed }

  // MARK: the head

  /// Takes the head, where there is one; a failure's value, or nil to go on.
  private mutating func begin(_ head: UnsafeRawBufferPointer?) -> Int32? {
    guard let head, !isBegun else { return nil }
    do throws(FlatFailure) {
      let head = try ResponseHead(decoding: head)
      guard try ClientResponse.isSendable(head) else { return IOResult.badHead }
      try apply(head)
      return nil
    } catch {
      return IOResult.badHead
    }
  }

  /// Everything is looked at before anything is applied: a refused head must leave no trace in the error that follows.
  private static func isSendable(_ head: ResponseHead) throws(FlatFailure) -> Bool {
    var headers = head.headers
    for _ in 0..<head.headerCount {
      let (name, value) = try headers.readPair()
      guard let value, HeaderSyntax.isToken(name), HeaderSyntax.isFieldContent(value) else { return false }
    }
    return HeaderSyntax.isFieldContent(head.reason)
  }

  private mutating func apply(_ head: ResponseHead) throws(FlatFailure) {
    let status = Int32(clamping: head.status)
    let isOverridden = overridesErrors && status >= 400
    // httpd looks for an error document only where no other error stands on the request.
    if !isOverridden {
      wsgi_httpd_set_status(request, status, start(of: head.reason), head.reason.count)
    }
    let pool = wsgi_httpd_request_pool(request)
    var headers = head.headers
    for _ in 0..<head.headerCount {
      let (name, value) = try headers.readPair()
      add(name, value ?? nothing, pool)
    }
    if head.contentLength >= 0 { wsgi_httpd_set_content_length(request, head.contentLength) }
    isBegun = true
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

  // MARK: the body

  /// The part of the bytes that Content-Length has room for.
  private mutating func clip(_ body: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    guard remaining >= 0 else { return body }
    let taken = UnsafeRawBufferPointer(rebasing: body.prefix(Int(clamping: remaining)))
    remaining -= Int64(taken.count)
    return taken
  }

  private var isShort: Bool { remaining > 0 && carriesBody }

  private mutating func sendShort(_ body: UnsafeRawBufferPointer) -> Int32 {
    let result = write(body, 0)
    if result == 0 { cut() }
    return result
  }

  private mutating func finish(_ body: UnsafeRawBufferPointer) -> Int32 {
    let result = write(body, WriteFlag.end)
    if result == 0 { phase = .complete }
    return result
  }

  private mutating func write(_ body: UnsafeRawBufferPointer, _ flags: UInt32) -> Int32 {
    let result = wsgi_httpd_write(
      request, makeBrigade(), body.baseAddress?.assumingMemoryBound(to: UInt8.self), body.count, flags)
    return result == 0 ? 0 : close(result)
  }

  private mutating func close(_ result: Int32) -> Int32 {
    phase = .closed
    return result == IOResult.answered ? IOResult.closed : result
  }

  /// What a send gets where nothing is sent: an overridden response takes everything and drops it.
  private var resultWhenNotSending: Int32 {
    if case .overridden = phase { return 0 }
    return IOResult.closed
  }

  private mutating func makeBrigade() -> OpaquePointer {
    if let brigade { return brigade }
    let made = wsgi_httpd_make_brigade(request)
    brigade = made
    return made
  }
}
