import CEngine

// The words of engine.h, for all rooms. Their values are C's: structures, as a Swift enumeration can only have literals.

/// How a log record is graded: httpd's levels. The most urgent is the least.
public struct LogLevel: Equatable, Comparable, Sendable {
  public let rawValue: Int32
  @inlinable init(rawValue: Int32) { self.rawValue = rawValue }
  /// Reads a number of others. Applications do not report emergencies.
  @inlinable public init(clamping value: some BinaryInteger) {
    rawValue = min(max(Int32(clamping: value), Int32(WSGI_LOG_ALERT)), LogLevel.last)
  }
  /// APLOG_TRACE8.
  @inlinable static var last: Int32 { Int32(WSGI_LOG_TRACE1) &+ 7 }
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  @inlinable public static var alert: Self { Self(rawValue: Int32(WSGI_LOG_ALERT)) }
  @inlinable public static var critical: Self { Self(rawValue: Int32(WSGI_LOG_CRIT)) }
  @inlinable public static var error: Self { Self(rawValue: Int32(WSGI_LOG_ERROR)) }
  @inlinable public static var warning: Self { Self(rawValue: Int32(WSGI_LOG_WARNING)) }
  @inlinable public static var info: Self { Self(rawValue: Int32(WSGI_LOG_INFO)) }
  @inlinable public static var debug: Self { Self(rawValue: Int32(WSGI_LOG_DEBUG)) }
}

/// Why reading from the client, or sending to it, ended.
public struct ExchangeFailure: RawRepresentable, Error, Equatable, Sendable {
  public let rawValue: Int32
  @inlinable public init(rawValue: Int32) { self.rawValue = rawValue }
  /// Reads what is below zero; `failed` for everything else.
  public init(code: Int64) { self = Int32(exactly: code).flatMap { $0 < 0 ? Self(rawValue: $0) : nil } ?? .failed }

  /// The client (or the httpd child) has gone.
  @inlinable public static var closed: Self { Self(rawValue: Int32(WSGI_IO_CLOSED)) }
  @inlinable public static var timedOut: Self { Self(rawValue: Int32(WSGI_IO_TIMEOUT)) }
  /// LimitRequestBody.
  @inlinable public static var tooLarge: Self { Self(rawValue: Int32(WSGI_IO_TOO_LARGE)) }
  @inlinable public static var failed: Self { Self(rawValue: Int32(WSGI_IO_FAILED)) }
  /// Nothing was taken, because that would have meant waiting.
  @inlinable public static var wouldBlock: Self { Self(rawValue: Int32(WSGI_IO_WOULD_BLOCK)) }
  /// The response head cannot be sent; nothing was.
  @inlinable public static var badHead: Self { Self(rawValue: Int32(WSGI_IO_BAD_HEAD)) }
}

/// How response bytes are to be sent.
public struct SendFlags: OptionSet, Sendable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// The response is complete with these bytes.
  @inlinable public static var end: Self { Self(rawValue: UInt32(WSGI_SEND_END)) }
  /// The bytes are on their way before the call returns.
  @inlinable public static var flush: Self { Self(rawValue: UInt32(WSGI_SEND_FLUSH)) }
  /// Take nothing and say `wouldBlock` rather than wait: the caller holds the GIL.
  @inlinable public static var tryOnly: Self { Self(rawValue: UInt32(WSGI_SEND_TRY)) }
}

/// How a request is to be run.
public struct RunFlags: OptionSet, Sendable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// A changed script asks for a new process instead of a reload in place.
  @inlinable public static var rejectsStale: Self { Self(rawValue: UInt32(WSGI_RUN_REJECT_STALE)) }
  /// This process was started for the request: only a further change of the file is one.
  @inlinable public static var newCode: Self { Self(rawValue: UInt32(WSGI_RUN_NEW_CODE)) }
}

/// How a request ended.
public struct RequestEnd: RawRepresentable, Equatable, Sendable {
  public let rawValue: Int32
  @inlinable public init(rawValue: Int32) { self.rawValue = rawValue }
  /// The response is complete, or the client went away while it was being sent.
  @inlinable public static var done: Self { Self(rawValue: Int32(WSGI_DONE)) }
  /// Nothing was sent: the host answers.
  @inlinable public static var failed: Self { Self(rawValue: Int32(WSGI_FAILED)) }
  /// The response was begun and cannot be completed.
  @inlinable public static var aborted: Self { Self(rawValue: Int32(WSGI_ABORTED)) }
  /// Not run: `rejectsStale` was given, and the script changed or is to be tried again.
  @inlinable public static var stale: Self { Self(rawValue: Int32(WSGI_STALE)) }
}

/// How a function of an auth, access or dispatch script is to be called.
public struct CallFlags: OptionSet, Sendable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// The result is iterated, whatever its type.
  @inlinable public static var list: Self { Self(rawValue: UInt32(WSGI_CALL_WANTS_LIST)) }
  /// A str result is given as UTF-8; else as latin-1.
  @inlinable public static var utf8: Self { Self(rawValue: UInt32(WSGI_CALL_UTF8)) }
  /// The function's name is several, separated by commas, to be called with one environ.
  @inlinable public static var each: Self { Self(rawValue: UInt32(WSGI_CALL_EACH)) }
  /// The environ has the versions and mod_ssl's functions.
  @inlinable public static var auth: Self { Self(rawValue: UInt32(WSGI_CALL_AUTH)) }
  /// The last argument is a password, which no log line may hold.
  @inlinable public static var secret: Self { Self(rawValue: UInt32(WSGI_CALL_SECRET)) }
}

/// The kind of answer that such a function gave; engine.h says what comes with each.
public struct AnswerKind: RawRepresentable, Equatable, Sendable {
  public let rawValue: Int32
  @inlinable public init(rawValue: Int32) { self.rawValue = rawValue }
  @inlinable public static var none: Self { Self(rawValue: Int32(WSGI_ANSWER_NONE)) }
  @inlinable public static var yes: Self { Self(rawValue: Int32(WSGI_ANSWER_TRUE)) }
  @inlinable public static var no: Self { Self(rawValue: Int32(WSGI_ANSWER_FALSE)) }
  @inlinable public static var string: Self { Self(rawValue: Int32(WSGI_ANSWER_STRING)) }
  @inlinable public static var bytes: Self { Self(rawValue: Int32(WSGI_ANSWER_BYTES)) }
  @inlinable public static var list: Self { Self(rawValue: Int32(WSGI_ANSWER_LIST)) }
  @inlinable public static var other: Self { Self(rawValue: Int32(WSGI_ANSWER_OTHER)) }
  @inlinable public static var raised: Self { Self(rawValue: Int32(WSGI_ANSWER_RAISED)) }
  @inlinable public static var missing: Self { Self(rawValue: Int32(WSGI_ANSWER_MISSING)) }
  @inlinable public static var unloadable: Self { Self(rawValue: Int32(WSGI_ANSWER_UNLOADABLE)) }
  @inlinable public static var tooLong: Self { Self(rawValue: Int32(WSGI_ANSWER_TOO_LONG)) }
  @inlinable public static var badItem: Self { Self(rawValue: Int32(WSGI_ANSWER_BAD_ITEM)) }
  @inlinable public static var notLatin1: Self { Self(rawValue: Int32(WSGI_ANSWER_NOT_LATIN1)) }
  @inlinable public static var noInterpreter: Self { Self(rawValue: Int32(WSGI_ANSWER_NO_INTERPRETER)) }
  @inlinable public static var cutList: Self { Self(rawValue: Int32(WSGI_ANSWER_CUT_LIST)) }
}

/// Memory that a host shares with others which run the same application groups.
public enum HostBoard {
  @inlinable public static var size: Int { Int(WSGI_BOARD_SIZE) }
}
