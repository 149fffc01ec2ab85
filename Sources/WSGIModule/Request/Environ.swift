import CHTTPD
import Glibc
import WSGIConfig
import WSGICore

/// Writes a request's environ, in place and without Swift strings: every request pays for it.
///
/// Variables of the request (SetEnv, mod_ssl's StdEnvVars, REDIRECT_…) come first and the keys of CGI after them, because
/// of a key that appears twice the last value counts. `wsgi.…` and the keys with values other than strings are the engine's.
struct Environ: ~Copyable {
  let view: wsgi_httpd_view
  let fields: wsgi_httpd_request
  /// The effect of the directives on headers of proxies; nil if none is configured.
  let proxy: ProxyOutcome?
  let options: EnvironOptions

  /// More pairs than are written beside headers and variables.
  static let ownPairs = 128

  /// How many pairs have been written.
  private var pairs = 0

  /// `view` and `fields` borrow from the request.
  init(_ view: wsgi_httpd_view, _ fields: wsgi_httpd_request, proxy: ProxyOutcome?, options: EnvironOptions) {
    self.view = view
    self.fields = fields
    self.proxy = proxy
    self.options = options
  }

  /// Appends all pairs and gives their number.
  mutating func write(to writer: inout FlatWriter) -> Int {
    // First, as RequestHead says.
    write(RequestHead.requestIDKey, fields.request_id, to: &writer)
    writeVariables(to: &writer)
    writeHeaders(to: &writer)
    writeRequest(to: &writer)
    writeServer(to: &writer)
    writeIdentity(to: &writer)
    if let proxy { write(proxy, to: &writer) }
    return pairs
  }

  /// The same for auth and access scripts: what is known of the request so early, and no variables of the server.
  mutating func write(forServiceScriptOf request: OpaquePointer, to writer: inout FlatWriter) -> Int {
    writeHeaders(to: &writer)
    write("SERVER_SIGNATURE", wsgi_httpd_server_signature(request), to: &writer)
    write("SERVER_SOFTWARE", fields.server_software, to: &writer)
    write("SERVER_NAME", fields.server_name, to: &writer)
    write("SERVER_ADDR", fields.server_address, to: &writer)
    write("SERVER_PORT", number: fields.server_port, to: &writer)
    write("SERVER_PROTOCOL", fields.protocol, to: &writer)
    write(ifPresent: "SERVER_ADMIN", fields.server_admin, to: &writer)
    write("REMOTE_ADDR", view.remote_address, to: &writer)
    write("REMOTE_PORT", number: fields.remote_port, to: &writer)
    write(ifPresent: "REMOTE_HOST", wsgi_httpd_remote_host(request), to: &writer)
    write("DOCUMENT_ROOT", fields.document_root, to: &writer)
    write("REQUEST_METHOD", fields.method, to: &writer)
    write("QUERY_STRING", view.arguments, to: &writer)
    write("REQUEST_URI", RequestPath.target(ofRequestLine: rawBytes(of: fields.the_request)), to: &writer)
    let (name, info) = path
    write("SCRIPT_NAME", name, to: &writer)
    write("PATH_INFO", info, to: &writer)
    return pairs
  }

  // MARK: sources

  private mutating func writeVariables(to writer: inout FlatWriter) {
    for entry in UnsafeBufferPointer(start: fields.variables.entries, count: fields.variables.count) {
      guard let name = entry.key else { continue }
      let key = rawBytes(of: name)
      if HeaderKey.isWithheld(variable: key) || isRemoved(key) { continue }
      if let value = entry.value { writer.appendPair(key, rawBytes(of: value)) } else { writer.appendPair(nullFor: key) }
      pairs += 1
    }
  }

  private mutating func writeHeaders(to writer: inout FlatWriter) {
    for entry in UnsafeBufferPointer(start: fields.headers.entries, count: fields.headers.count) {
      guard let name = entry.key, let text = entry.value else { continue }
      let key = rawBytes(of: name)
      let value = rawBytes(of: text)
      switch HeaderKey(key) {
      case .withheld: continue
      case .contentType: writer.appendPair("CONTENT_TYPE", value)
      case .contentLength: writer.appendPair("CONTENT_LENGTH", value)
      case .authorization where !(fields.passes_authorization != 0 || options.passAuthorization): continue
      case .proxyAuthorization where fields.passes_authorization == 0: continue
      case .authorization, .proxyAuthorization, .plain:
        if proxy != nil, isRemoved(header: key) { continue }
        writer.appendPair(keyCount: key.count + 5, value) { HeaderKey.write(key, to: $0) }
      }
      pairs += 1
    }
  }

  private mutating func writeRequest(to writer: inout FlatWriter) {
    let mapsToGet = fields.is_head != 0 && options.mapsHead(filtersContent: fields.filters_content != 0)
    if mapsToGet { write("REQUEST_METHOD", "GET", to: &writer) } else { write("REQUEST_METHOD", fields.method, to: &writer) }
    write("QUERY_STRING", view.arguments, to: &writer)
    write("REQUEST_URI", requestURI, to: &writer)
    write("SERVER_PROTOCOL", fields.protocol, to: &writer)
    write("REQUEST_SCHEME", fields.scheme, to: &writer)
    writePath(to: &writer)
  }

  /// The script's name and the path info, in the request's own spelling.
  private var path: (name: UnsafeRawBufferPointer, info: UnsafeRawBufferPointer) {
    let uri = rawBytes(of: view.uri)
    let info = rawBytes(of: view.path_info)
    return (UnsafeRawBufferPointer(rebasing: uri.prefix(RequestPath.scriptNameLength(uri: uri, pathInfo: info))), info)
  }

  private mutating func writePath(to writer: inout FlatWriter) {
    let (name, info) = path
    RequestPath.withCollapsedSlashes(name) { name in
      write("SCRIPT_NAME", name, to: &writer)
      write("mod_wsgi.script_name", name, to: &writer)
    }
    RequestPath.withCollapsedSlashes(info) { info in
      write("PATH_INFO", info, to: &writer)
      write("mod_wsgi.path_info", info, to: &writer)
    }
  }

  private mutating func writeServer(to writer: inout FlatWriter) {
    write("SERVER_NAME", fields.server_name, to: &writer)
    write("SERVER_PORT", number: fields.server_port, to: &writer)
    write("SERVER_ADDR", fields.server_address, to: &writer)
    write("REMOTE_ADDR", view.remote_address, to: &writer)
    write("REMOTE_PORT", number: fields.remote_port, to: &writer)
    write("SERVER_SOFTWARE", fields.server_software, to: &writer)
    write(ifPresent: "SERVER_ADMIN", fields.server_admin, to: &writer)
    write(ifPresent: "DOCUMENT_ROOT", fields.document_root, to: &writer)
    write("CONTEXT_PREFIX", fields.context_prefix, to: &writer)
    write(ifPresent: "CONTEXT_DOCUMENT_ROOT", fields.context_document_root, to: &writer)
    write(ifPresent: "SCRIPT_FILENAME", fields.filename, to: &writer)
    write("mod_wsgi.listener_host", fields.listener_host, to: &writer)
    write("mod_wsgi.listener_port", number: fields.listener_port, to: &writer)
    write("mod_wsgi.request_handler", view.handler, to: &writer)
    write("mod_wsgi.handler_script", options.handlerScript, to: &writer)
    write("mod_wsgi.server_pid", number: UInt32(bitPattern: options.processID), to: &writer)
    write(ifPresent: "mod_wsgi.connection_id", fields.connection_id, to: &writer)
  }

  private mutating func writeIdentity(to writer: inout FlatWriter) {
    write(ifPresent: "REMOTE_USER", fields.user, to: &writer)
    write(ifPresent: "AUTH_TYPE", fields.auth_type, to: &writer)
    write(ifPresent: "REDIRECT_REMOTE_USER", fields.redirect_user, to: &writer)
    write(ifPresent: "REDIRECT_QUERY_STRING", fields.redirect_query, to: &writer)
    write(ifPresent: "REDIRECT_URL", fields.redirect_url, to: &writer)
  }

  // MARK: proxies

  private mutating func write(_ proxy: ProxyOutcome, to writer: inout FlatWriter) {
    for case .set(let key, let value) in proxy.changes where key != Environ.httpsKey {
      key.withUnsafeBytes { key in value.withUnsafeBytes { writer.appendPair(key, $0) } }
      pairs += 1
    }
  }

  static let httpsKey = [UInt8]("HTTPS".utf8)

  private func isRemoved(_ key: UnsafeRawBufferPointer) -> Bool {
    guard let proxy else { return false }
    return proxy.changes.contains { change in
      guard case .remove(let name) = change else { return false }
      return name.count == key.count && name.elementsEqual(key)
    }
  }

  private func isRemoved(header key: UnsafeRawBufferPointer) -> Bool {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: key.count + 5) { variable in
      guard let base = variable.baseAddress else { return false }
      HeaderKey.write(key, to: base)
      return isRemoved(UnsafeRawBufferPointer(variable))
    }
  }

  // MARK: values

  /// The target of the request line, as the client sent it.
  private var requestURI: UnsafeRawBufferPointer {
    if fields.current_uri != 0 { return rawBytes(of: view.uri) }
    return RequestPath.target(ofRequestLine: rawBytes(of: fields.the_request))
  }

  private mutating func write(_ key: StaticString, _ value: UnsafeRawBufferPointer, to writer: inout FlatWriter) {
    writer.appendPair(key, value)
    pairs += 1
  }

  private mutating func write(_ key: StaticString, _ value: UnsafePointer<CChar>?, to writer: inout FlatWriter) {
    write(key, rawBytes(of: value), to: &writer)
  }

  private mutating func write(_ key: StaticString, _ value: StaticString, to writer: inout FlatWriter) {
    write(key, UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount), to: &writer)
  }

  private mutating func write(_ key: StaticString, _ value: [UInt8], to writer: inout FlatWriter) {
    value.withUnsafeBytes { write(key, $0, to: &writer) }
  }

  private mutating func write(ifPresent key: StaticString, _ value: UnsafePointer<CChar>?, to writer: inout FlatWriter) {
    guard let value else { return }
    write(key, rawBytes(of: value), to: &writer)
  }

  private mutating func write(_ key: StaticString, number: UInt32, to writer: inout FlatWriter) {
    RequestPath.withDecimal(number) { write(key, $0, to: &writer) }
  }
}

/// The configuration's influence on a request's environ.
struct EnvironOptions {
  var passAuthorization = false
  var mapHEADToGET = HeadMapping.auto
  /// The path of a WSGIHandlerScript; empty for a script that is the requested resource.
  var handlerScript: [UInt8] = []
  var processID: Int32

  /// Whether a HEAD request is shown as GET: always, never, or where a filter wants to see the body to make the headers.
  func mapsHead(filtersContent: Bool) -> Bool {
    switch mapHEADToGET {
    case .on: true
    case .off: false
    case .auto: filtersContent
    }
  }
}
