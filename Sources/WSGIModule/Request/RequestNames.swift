import CHTTPD
import WSGIConfig

/// The facts of a request that names of process and application groups expand to.
struct RequestNames: RequestFacts {
  let request: OpaquePointer
  let view: wsgi_httpd_view

  func appendServerName(to name: inout [UInt8]) { append(view.server_name, to: &name) }
  func appendRequestHost(to name: inout [UInt8]) { append(view.host, to: &name) }
  var port: UInt32 { wsgi_httpd_request_port(request) }
  func appendURI(to name: inout [UInt8]) { append(view.uri, to: &name) }
  func appendPathInfo(to name: inout [UInt8]) { append(view.path_info, to: &name) }

  func appendVariable(_ variable: [UInt8], to name: inout [UInt8]) -> Bool {
    guard let value = withCString(variable, { wsgi_httpd_request_variable(request, $0) }) else { return false }
    append(value, to: &name)
    return true
  }

  private func append(_ text: UnsafePointer<CChar>?, to name: inout [UInt8]) { name.append(contentsOf: rawBytes(of: text)) }
}
