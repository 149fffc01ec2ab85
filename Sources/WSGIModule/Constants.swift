import CEngine
import CHTTPD
import WSGICore

// C's constants in the types they are used with.

/// What exchange functions fail with (`engine.h`).
enum IOResult {
  static let closed = Int32(WSGI_IO_CLOSED)
  static let timeout = Int32(WSGI_IO_TIMEOUT)
  static let tooLarge = Int32(WSGI_IO_TOO_LARGE)
  static let failed = Int32(WSGI_IO_FAILED)
  static let wouldBlock = Int32(WSGI_IO_WOULD_BLOCK)
  static let badHead = Int32(WSGI_IO_BAD_HEAD)
  /// httpd has answered the client itself; not for the engine's eyes.
  static let answered = Int32(WSGI_HTTPD_ANSWERED)
  /// An input filter took bytes and gave none yet; only where a read does not wait.
  static let heldBack = Int32(WSGI_HTTPD_HELD_BACK)
}

enum SendFlag {
  static let end = UInt32(WSGI_SEND_END)
  static let flush = UInt32(WSGI_SEND_FLUSH)
  static let tryOnly = UInt32(WSGI_SEND_TRY)
}

enum WriteFlag {
  static let flush = UInt32(WSGI_HTTPD_FLUSH)
  static let end = UInt32(WSGI_HTTPD_END)
}

/// What a hook tells httpd: one of these, or an HTTP status to answer with.
enum HookResult {
  static let declined = Int32(WSGI_HTTPD_DECLINED)
  static let ok = Int32(WSGI_HTTPD_OK)
  /// Of a hook that looks the configuration over: httpd does not start with it.
  static let refused: Int32 = 500
  /// A filter has answered the client; httpd makes sure that something did.
  static let answered = Int32(WSGI_HTTPD_FILTER_ERROR)
}

/// No bytes.
var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

/// Where bytes begin; a valid pointer even where there are none.
func start(of bytes: UnsafeRawBufferPointer) -> UnsafePointer<UInt8> {
  bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? ("" as StaticString).utf8Start
}
