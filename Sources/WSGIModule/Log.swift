import CHTTPD
import Glibc
import WSGICore

/// The most that httpd's own buffer takes of a record beside what it adds itself.
private let recordLimit = 7680
/// A record has room for this much text at least, whatever stands before it.
private let leastRoom = 1024

/// Writes a line about the server to its error log.
func log(_ level: LogLevel, _ server: OpaquePointer?, _ text: String) {
  var text = text
  text.withUTF8 { utf8 in
    logServer(level, server, UnsafeRawBufferPointer(utf8), file: nil, line: 0)
  }
}

/// Writes a line about a request to the error log of its server; `script` names what it is about.
func log(_ level: LogLevel, request: OpaquePointer, script: UnsafePointer<CChar>?, _ text: String) {
  var text = text
  text.withUTF8 { utf8 in
    logRequest(level, request, prefix: scriptPrefix(script, request), UnsafeRawBufferPointer(utf8), file: nil, line: 0)
  }
}

/// Passes on a record, in as many pieces as httpd's buffer asks for. httpd escapes control characters itself.
func logRequest(
  _ level: LogLevel, _ request: OpaquePointer, prefix: UnsafePointer<CChar>?, _ text: UnsafeRawBufferPointer,
  file: UnsafePointer<CChar>?, line: UInt32
) {
  let taken = prefix.map { LogPieces.escapedSize(of: rawBytes(of: $0)) } ?? 0
  for piece in pieces(text, beside: taken, file) {
    wsgi_httpd_log_request(request, level.rawValue, prefix, start(of: piece), piece.count, file, line)
  }
}

func logServer(
  _ level: LogLevel, _ server: OpaquePointer?, _ text: UnsafeRawBufferPointer, file: UnsafePointer<CChar>?, line: UInt32
) {
  for piece in pieces(text, beside: 0, file) {
    wsgi_httpd_log_server(server, level.rawValue, start(of: piece), piece.count, file, line)
  }
}

/// The records that `text` makes, where `taken` bytes and the name of a file stand before each.
private func pieces(_ text: UnsafeRawBufferPointer, beside taken: Int, _ file: UnsafePointer<CChar>?) -> LogPieces {
  LogPieces(text, room: min(LogPieces.limit, max(leastRoom, recordLimit - taken - (file.map { strlen($0) } ?? 0))))
}

extension LogLevel {
  /// The highest level that a request's log keeps.
  init(of request: OpaquePointer) { self.init(clamping: wsgi_httpd_request_log_level(request)) }
}

/// `[script <path>] `, which records that belong to a request begin with.
func scriptPrefix(_ script: UnsafePointer<CChar>?, _ request: OpaquePointer) -> UnsafePointer<CChar>? {
  guard let script else { return nil }
  let prefix = "[script " + String(decoding: rawBytes(of: script), as: UTF8.self) + "] "
  return UnsafePointer(poolCopy(prefix, wsgi_httpd_request_pool(request)))
}
