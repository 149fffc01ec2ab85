import CHTTPD
import Glibc
import WSGICore

/// The environ of auth and access scripts: what is known of the request so early, and no variables of the server.
enum ServiceEnviron {
  /// More pairs than are written beside the headers.
  static let ownPairs = 32

  /// Appends all pairs and gives their number.
  static func write(_ fields: wsgi_httpd_request, _ request: OpaquePointer, to writer: inout FlatWriter) -> Int {
    var pairs = 0
    func write(_ key: StaticString, _ value: UnsafeRawBufferPointer) {
      writer.appendPair(key, value)
      pairs += 1
    }
    func write(_ key: StaticString, _ value: UnsafePointer<CChar>?) { write(key, rawBytes(of: value)) }

    for entry in UnsafeBufferPointer(start: fields.headers.entries, count: fields.headers.count) {
      guard let name = entry.key, let text = entry.value else { continue }
      let key = rawBytes(of: name)
      let value = rawBytes(of: text)
      switch HeaderKey(key) {
      case .withheld, .authorization, .proxyAuthorization: continue
      case .contentType: writer.appendPair("CONTENT_TYPE", value)
      case .contentLength: writer.appendPair("CONTENT_LENGTH", value)
      case .plain: writer.appendPair(keyCount: key.count + 5, value) { HeaderKey.write(key, to: $0) }
      }
      pairs += 1
    }
    write("SERVER_SIGNATURE", wsgi_httpd_server_signature(request))
    write("SERVER_SOFTWARE", fields.server_software)
    write("SERVER_NAME", fields.server_name)
    write("SERVER_ADDR", fields.server_address)
    RequestPath.withDecimal(fields.server_port) { write("SERVER_PORT", $0) }
    write("SERVER_PROTOCOL", fields.protocol)
    if let admin = fields.server_admin { write("SERVER_ADMIN", admin) }
    write("REMOTE_ADDR", fields.remote_address)
    RequestPath.withDecimal(fields.remote_port) { write("REMOTE_PORT", $0) }
    if let host = wsgi_httpd_remote_host(request) { write("REMOTE_HOST", host) }
    write("DOCUMENT_ROOT", fields.document_root)
    write("REQUEST_METHOD", fields.method)
    write("QUERY_STRING", fields.args)
    write("REQUEST_URI", RequestPath.target(ofRequestLine: rawBytes(of: fields.the_request)))
    let uri = rawBytes(of: fields.uri)
    let info = rawBytes(of: fields.path_info)
    write("SCRIPT_NAME", UnsafeRawBufferPointer(rebasing: uri.prefix(RequestPath.scriptNameLength(uri: uri, pathInfo: info))))
    write("PATH_INFO", info)
    return pairs
  }
}
