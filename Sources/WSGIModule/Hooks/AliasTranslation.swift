import CHTTPD
import WSGIConfig

// WSGIScriptAlias and WSGIScriptAliasMatch: from a URI to a script.

@c @implementation
func wsgi_swift_translate_name(_ request: OpaquePointer) -> Int32 {
  let view = wsgi_httpd_look_at(request)
  guard let server = ServerObject.of(view.server), !server.box.value.aliases.isEmpty, let uri = view.uri
  else { return HookResult.declined }
  let path = UnsafeBufferPointer(rebasing: rawBytes(of: uri).bindMemory(to: UInt8.self)[...])
  let match = AliasMatching.first(of: server.box.value.aliases, matching: path.span) { captures(of: $0, in: uri) }
  guard let match else { return HookResult.declined }
  var filename: [UInt8] = []
  match.appendFilename(uri: path.span, to: &filename)
  withCString(filename) { wsgi_httpd_force_script(request, $0) }
  // The alias lives as long as the configuration, that is longer than the request.
  wsgi_httpd_set_request_note(request, Unmanaged.passUnretained(match.alias).toOpaque())
  return HookResult.ok
}

/// Runs a compiled regular expression.
private func captures(of expression: RegexHandle, in uri: UnsafePointer<CChar>) -> AliasMatching.Captures? {
  guard let compiled = UnsafeRawPointer(bitPattern: expression) else { return nil }
  return withUnsafeTemporaryAllocation(of: wsgi_httpd_capture.self, capacity: Int(WSGI_HTTPD_CAPTURES)) { captures in
    guard let first = captures.baseAddress, wsgi_httpd_match(compiled, uri, first) != 0 else { return nil }
    return captures.map { $0.start >= 0 && $0.end >= $0.start ? Int($0.start)..<Int($0.end) : nil }
  }
}
