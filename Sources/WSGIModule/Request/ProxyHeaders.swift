import CHTTPD
import Glibc
import WSGIConfig
import WSGICore

/// Applies WSGITrustedProxyHeaders and WSGITrustedProxies to a request.
enum ProxyHeaders {
  /// nil where no headers are configured.
  static func outcome(_ destination: Destination, _ view: wsgi_httpd_view, _ fields: wsgi_httpd_request) -> ProxyOutcome? {
    guard let headers = destination.trustedProxyHeaders else { return nil }
    return TrustedProxies.outcome(
      headers: headers, proxies: destination.trustedProxies, peer: [UInt8](rawBytes(of: view.remote_address)),
      value: { value(of: $0, fields) })
  }

  /// Whether the request came by TLS, as a proxy's header, mod_ssl or a variable `HTTPS` says.
  static func isHTTPS(_ request: OpaquePointer, _ fields: wsgi_httpd_request, _ proxy: ProxyOutcome?) -> Bool {
    var isOn = variable("HTTPS", fields).map(isAffirmative) ?? false
    for change in proxy?.changes ?? [] {
      switch change {
      case .set(Environ.httpsKey, _): isOn = true
      case .remove(Environ.httpsKey): isOn = false
      default: break
      }
    }
    if proxy?.isSchemeDecided == true { return isOn }
    return isOn || wsgi_httpd_is_https(request) != 0
  }

  private static func isAffirmative(_ text: UnsafePointer<CChar>) -> Bool {
    strcasecmp(text, "on") == 0 || strcmp(text, "1") == 0
  }

  /// The later value of `HTTP_…` in the environ: the header, else a variable of that name.
  private static func value(of key: [UInt8], _ fields: wsgi_httpd_request) -> [UInt8]? {
    for entry in UnsafeBufferPointer(start: fields.headers.entries, count: fields.headers.count) {
      guard let name = entry.key, let value = entry.value else { continue }
      let header = rawBytes(of: name)
      guard header.count + 5 == key.count,
        header.indices.allSatisfy({ HeaderKey.variableByte(header[$0]) == key[$0 + 5] })
      else { continue }
      return [UInt8](rawBytes(of: value))
    }
    return withCString(key) { variable($0, fields) }.map { [UInt8](rawBytes(of: $0)) }
  }

  private static func variable(_ name: UnsafePointer<CChar>, _ fields: wsgi_httpd_request) -> UnsafePointer<CChar>? {
    for entry in UnsafeBufferPointer(start: fields.variables.entries, count: fields.variables.count) {
      if let key = entry.key, strcasecmp(key, name) == 0 { return entry.value }
    }
    return nil
  }
}
