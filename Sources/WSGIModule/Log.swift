import CHTTPD
import CEngine
import WSGICore

/// httpd's log levels, as `engine.h` numbers them.
enum LogLevel: Int32 {
  case alert = 1
  case critical = 2
  case error = 3
  case warning = 4
  case info = 6
  case debug = 7
}

/// The most of a record's text that httpd's own buffer takes beside the prefix it adds; more continues in another record.
private let recordLimit = 7680

/// Writes a line about the server to its error log.
func log(_ level: LogLevel, _ server: OpaquePointer?, _ text: String) {
  var text = text
  text.withUTF8 { utf8 in
    logServer(level.rawValue, server, UnsafeRawBufferPointer(utf8), file: nil, line: 0)
  }
}

/// Writes a line about a request to the error log of its server; `script` names what it is about.
func log(_ level: LogLevel, request: OpaquePointer, script: UnsafePointer<CChar>?, _ text: String) {
  var text = text
  text.withUTF8 { utf8 in
    logRequest(
      level.rawValue, request, prefix: scriptPrefix(script, request), UnsafeRawBufferPointer(utf8), file: nil, line: 0)
  }
}

/// Passes on a record, in as many pieces as httpd's buffer asks for. httpd escapes control characters itself.
func logRequest(
  _ level: Int32, _ request: OpaquePointer, prefix: UnsafePointer<CChar>?, _ text: UnsafeRawBufferPointer,
  file: UnsafePointer<CChar>?, line: UInt32
) {
  eachRecord(text) { start, length in wsgi_httpd_log_request(request, level, prefix, start, length, file, line) }
}

func logServer(
  _ level: Int32, _ server: OpaquePointer?, _ text: UnsafeRawBufferPointer, file: UnsafePointer<CChar>?, line: UInt32
) {
  eachRecord(text) { start, length in wsgi_httpd_log_server(server, level, start, length, file, line) }
}

/// `[script <path>] `, which records that belong to a request begin with.
func scriptPrefix(_ script: UnsafePointer<CChar>?, _ request: OpaquePointer) -> UnsafePointer<CChar>? {
  guard let script else { return nil }
  return poolCopy("[script " + String(decoding: rawBytes(of: script), as: UTF8.self) + "] ", wsgi_httpd_request_pool(request))
}

/// Cuts text into pieces that fit a record, and at NUL bytes, which end a text for httpd.
private func eachRecord(_ text: UnsafeRawBufferPointer, _ body: (UnsafePointer<UInt8>, Int) -> Void) {
  guard let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
  var start = 0
  repeat {
    var end = start
    while end < text.count, base[end] != 0, end - start < recordLimit { end += 1 }
    body(base + start, end - start)
    start = end < text.count && base[end] == 0 ? end + 1 : end
  } while start < text.count
}
