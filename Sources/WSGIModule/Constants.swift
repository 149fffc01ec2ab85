import CHTTPD
import WSGICore

// C's constants in the types they are used with.

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
