import CHTTPD
import Glibc
import WSGICore

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
