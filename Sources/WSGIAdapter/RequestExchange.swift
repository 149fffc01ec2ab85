import WSGICore

extension ExchangeFailure {
  /// The end of the sentence "mod_wsgi request data read error: …".
  var readExplanation: String {
    switch self {
    case .closed: "Connection was terminated."
    case .timedOut: "Timeout while waiting for request data."
    case .tooLarge: "Request body is larger than LimitRequestBody allows."
    default: "Request data could not be read."
    }
  }
}

/// A request or a process, each of which has a log.
open class LogOwner {
  public init() {}

  /// A record for the log; `file` and `line` name the Python source of a LogHandler record.
  open func log(_ level: LogLevel, _ text: UnsafeRawBufferPointer, file: String?, line: Int) {}

  /// The highest level that the log keeps.
  open var logLevel: LogLevel { .info }

  /// Logs a sentence.
  public final func log(_ level: LogLevel, _ text: String) {
    var text = text
    text.withUTF8 { log(level, UnsafeRawBufferPointer($0), file: nil, line: 0) }
  }
}

/// A request's way to its client; the adapter cannot tell an httpd child from a daemon's channel or a test.
///
/// One instance serves one request, on one thread. Apart from `log`, and `send` with `tryOnly`, methods may wait and are
/// called without the GIL.
open class RequestExchange: LogOwner {
  /// Reads at least one byte of the request body; 0 at its end, or an `ExchangeFailure`'s value.
  open func read(into buffer: UnsafeMutableRawBufferPointer) -> Int64 { 0 }

  /// Sends response bytes; the first call brings the encoded head. 0, or an `ExchangeFailure`'s value.
  open func send(head: UnsafeRawBufferPointer?, body: UnsafeRawBufferPointer, flags: SendFlags) -> Int32 { 0 }

  /// Sends part of a regular file and ends the response. 0, or an `ExchangeFailure`'s value.
  open func sendFile(head: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64) -> Int32 { 0 }

  /// The application is about to be called, at this time (microseconds since the epoch).
  open func started(_ microseconds: Int64) {}

  /// mod_ssl, for auth scripts; nil where there is none.
  open var isHTTPS: Bool { false }
  open func sslVariable(_ name: [UInt8]) -> [UInt8]? { nil }

  /// The request_rec, where the host is httpd.
  open var requestRecord: UnsafeMutableRawPointer? { nil }
}

/// Functions of the process outside requests. Callable from any thread, with or without the GIL.
open class ProcessHost: LogOwner, @unchecked Sendable {  // implementations keep no mutable state
  /// httpd's scoreboard as pairs; nil where it is not available.
  open func serverMetrics() -> [UInt8]? { nil }
  /// Has the process replaced by one that loads this script. Waits for nothing.
  open func replaceProcess(_ script: [UInt8], _ applicationGroup: [UInt8]) {}
  /// For the `ReloadBoard`; nil: there are no other processes to share it with.
  open var board: UnsafeMutableRawPointer? { nil }
}
