import CHTTPD
import Glibc
import WSGIConfig
import WSGICore

// C's NUL-terminated strings as bytes, and its constants in the types they are used with.

/// The bytes of a C string, without its NUL; they live as long as the string.
@inline(__always)
func rawBytes(of text: UnsafePointer<CChar>) -> UnsafeRawBufferPointer {
  UnsafeRawBufferPointer(start: text, count: strlen(text))
}

/// The bytes of a C string; empty for NULL.
@inline(__always)
func rawBytes(of text: UnsafePointer<CChar>?) -> UnsafeRawBufferPointer {
  guard let text else { return UnsafeRawBufferPointer(start: nil, count: 0) }
  return UnsafeRawBufferPointer(start: text, count: strlen(text))
}

/// No bytes.
var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

/// Where bytes begin; a valid pointer even where there are none.
func start(of bytes: UnsafeRawBufferPointer) -> UnsafePointer<UInt8> {
  bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? ("" as StaticString).utf8Start
}

extension ByteText {
  init(_ text: UnsafePointer<CChar>) { self.init([UInt8](rawBytes(of: text))) }
}

func withCString<R>(_ text: ByteText, _ body: (UnsafePointer<CChar>) -> R) -> R { withCString(text.bytes, body) }

/// Calls `body` with the bytes as a C string; one that holds a NUL ends there.
func withCString<R>(_ text: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) { buffer in
    guard let base = buffer.baseAddress else { return body(emptyString) }
    for (index, byte) in text.enumerated() { base[index] = CChar(bitPattern: byte) }
    base[text.count] = 0
    return body(UnsafePointer(base))
  }
}

/// A copy that lives as long as the pool.
func poolCopy(_ text: String, _ pool: OpaquePointer) -> UnsafeMutablePointer<CChar> {
  var text = text
  return text.withUTF8 { poolCopy(UnsafeRawBufferPointer($0), pool) }
}

func poolCopy(_ bytes: UnsafeRawBufferPointer, _ pool: OpaquePointer) -> UnsafeMutablePointer<CChar> {
  wsgi_httpd_copy(pool, bytes.baseAddress ?? UnsafeRawPointer(emptyString), bytes.count)
}

/// The empty C string. SAFETY: a StaticString ends in a NUL byte and lives as long as the image.
nonisolated(unsafe) let emptyString = UnsafeRawPointer(("" as StaticString).utf8Start).assumingMemoryBound(to: CChar.self)

/// Failures of httpd's side that engine.h does not have; the engine never sees them.
extension ExchangeFailure {
  /// httpd has answered the client itself.
  static let answered = ExchangeFailure(rawValue: Int32(WSGI_HTTPD_ANSWERED))
  /// An input filter took bytes and gave none yet; only where a read does not wait.
  static let heldBack = ExchangeFailure(rawValue: Int32(WSGI_HTTPD_HELD_BACK))
}

enum WriteFlag {
  static let flush = UInt32(WSGI_HTTPD_FLUSH)
  static let end = UInt32(WSGI_HTTPD_END)
}

/// The result of a hook: one of these, or an HTTP status to answer with.
enum HookResult {
  static let declined = Int32(WSGI_HTTPD_DECLINED)
  static let ok = Int32(WSGI_HTTPD_OK)
  /// Of a hook that looks the configuration over: httpd does not start with it.
  static let refused: Int32 = 500
  /// A filter has answered the client; httpd makes sure that something did.
  static let answered = Int32(WSGI_HTTPD_FILTER_ERROR)
}
