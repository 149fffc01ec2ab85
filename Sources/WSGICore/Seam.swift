import CEngine

// The words of engine.h, for all rooms. Their values are C's: structures, as a Swift enumeration can only have literals.

/// How a log record is graded: httpd's levels. A record of an application may have others.
public struct LogLevel: RawRepresentable, Equatable, Sendable {
  public let rawValue: Int32
  public init(rawValue: Int32) { self.rawValue = rawValue }
  public static let alert = LogLevel(rawValue: Int32(WSGI_LOG_ALERT))
  public static let critical = LogLevel(rawValue: Int32(WSGI_LOG_CRIT))
  public static let error = LogLevel(rawValue: Int32(WSGI_LOG_ERROR))
  public static let warning = LogLevel(rawValue: Int32(WSGI_LOG_WARNING))
  public static let info = LogLevel(rawValue: Int32(WSGI_LOG_INFO))
  public static let debug = LogLevel(rawValue: Int32(WSGI_LOG_DEBUG))
}

/// Why reading from the client, or sending to it, ended.
public struct ExchangeFailure: RawRepresentable, Error, Equatable, Sendable {
  public let rawValue: Int32
  public init(rawValue: Int32) { self.rawValue = rawValue }
  /// Reads what is below zero; `failed` for everything else.
  public init(code: Int64) { self = Int32(exactly: code).flatMap { $0 < 0 ? Self(rawValue: $0) : nil } ?? .failed }

  /// The client (or the httpd child) has gone.
  public static let closed = ExchangeFailure(rawValue: Int32(WSGI_IO_CLOSED))
  public static let timedOut = ExchangeFailure(rawValue: Int32(WSGI_IO_TIMEOUT))
  /// LimitRequestBody.
  public static let tooLarge = ExchangeFailure(rawValue: Int32(WSGI_IO_TOO_LARGE))
  public static let failed = ExchangeFailure(rawValue: Int32(WSGI_IO_FAILED))
  /// Nothing was taken, because that would have meant waiting.
  public static let wouldBlock = ExchangeFailure(rawValue: Int32(WSGI_IO_WOULD_BLOCK))
  /// The response head cannot be sent; nothing was.
  public static let badHead = ExchangeFailure(rawValue: Int32(WSGI_IO_BAD_HEAD))
}

/// How response bytes are to be sent.
public struct SendFlags: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// The response is complete with these bytes.
  public static let end = SendFlags(rawValue: UInt32(WSGI_SEND_END))
  /// The bytes are on their way before the call returns.
  public static let flush = SendFlags(rawValue: UInt32(WSGI_SEND_FLUSH))
  /// Take nothing and say `wouldBlock` rather than wait: the caller holds the GIL.
  public static let tryOnly = SendFlags(rawValue: UInt32(WSGI_SEND_TRY))
}
