import CHTTPD
import Glibc
import WSGICore

/// The most that httpd's own buffer takes of a record beside what it adds itself; more continues in another record.
private let recordLimit = 7680
/// A record has room for this much text at least, whatever stands before it.
private let leastRoom = 1024

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
  let taken = prefix.map { rawBytes(of: $0).reduce(0) { $0 + escapedSize($1) } } ?? 0
  eachRecord(text, beside: taken + (file.map { strlen($0) } ?? 0)) { start, length in
    wsgi_httpd_log_request(request, level, prefix, start, length, file, line)
  }
}

func logServer(
  _ level: Int32, _ server: OpaquePointer?, _ text: UnsafeRawBufferPointer, file: UnsafePointer<CChar>?, line: UInt32
) {
  eachRecord(text, beside: file.map { strlen($0) } ?? 0) { start, length in
    wsgi_httpd_log_server(server, level, start, length, file, line)
  }
}

/// `[script <path>] `, which records that belong to a request begin with.
func scriptPrefix(_ script: UnsafePointer<CChar>?, _ request: OpaquePointer) -> UnsafePointer<CChar>? {
  guard let script else { return nil }
  let prefix = "[script " + String(decoding: rawBytes(of: script), as: UTF8.self) + "] "
  return UnsafePointer(poolCopy(prefix, wsgi_httpd_request_pool(request)))
}

/// What a byte takes in httpd's buffer: all but printable ASCII is escaped there.
private func escapedSize(_ byte: UInt8) -> Int {
  switch byte {
  case 0x20...0x5B, 0x5D...0x7E: 1
  case 0x08...0x0B, 0x0D, 0x5C: 2
  default: 4
  }
}

/// Cuts text into pieces that fit a record, and at NUL bytes, which end a text for httpd.
private func eachRecord(_ text: UnsafeRawBufferPointer, beside taken: Int, _ body: (UnsafePointer<UInt8>, Int) -> Void) {
  guard let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
  let room = max(leastRoom, recordLimit - taken)
  var start = 0
  repeat {
    var end = start
    var size = 0
    while end < text.count, base[end] != 0 {
      size += escapedSize(base[end])
      guard size <= room else { break }
      end += 1
    }
    body(base + start, end - start)
    start = end < text.count && base[end] == 0 ? end + 1 : end
  } while start < text.count
}
