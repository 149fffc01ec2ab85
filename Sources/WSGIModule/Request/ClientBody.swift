import CHTTPD
import Glibc

/// A request's body as httpd's input filters give it: without its chunks, and cut off at LimitRequestBody.
struct ClientBody: ~Copyable {
  private let request: OpaquePointer
  private var brigade: OpaquePointer?
  private var failure: Int64 = 0
  /// A filter found the body wrong and has answered the client itself.
  private(set) var wasAnswered = false

  init(_ request: OpaquePointer) { self.request = request }

  /// Reads what is there; 0 at the end, else one of `IOResult`. A failure stays: what follows it cannot be told from the body.
  ///
  /// With `wait` at least one byte is brought. An empty buffer only asks a client for its body that waits to be asked.
  mutating func read(into buffer: UnsafeMutableRawBufferPointer, wait: Bool) -> Int64 {
    guard failure == 0 else { return failure }
    if !wait || buffer.isEmpty { wsgi_httpd_send_continue(request) }
    guard let start = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), !buffer.isEmpty else { return 0 }
    let brigade = brigade ?? wsgi_httpd_make_brigade(request)
    self.brigade = brigade
    let count = wsgi_httpd_read(request, brigade, start, buffer.count, wait ? 1 : 0)
    if count >= 0 || count == Int64(IOResult.wouldBlock) || count == Int64(IOResult.heldBack) { return count }
    wasAnswered = count == Int64(IOResult.answered)
    let isTooLarge = wasAnswered && wsgi_httpd_status(request) == 413
    failure = !wasAnswered ? count : Int64(isTooLarge ? IOResult.tooLarge : IOResult.failed)
    return failure
  }
}
