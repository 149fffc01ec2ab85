import Testing
import WSGICore

@Suite struct HeaderKeyTests {
  private func key(_ name: String) -> HeaderKey { Array(name.utf8).withUnsafeBytes { HeaderKey($0) } }

  @Test(arguments: [
    ("Accept", HeaderKey.plain), ("X-Forwarded-For", .plain), ("x1", .plain), ("X-9-b", .plain), ("Content-Types", .plain),
    ("Content-Type", .contentType), ("CONTENT-LENGTH", .contentLength), ("authorization", .authorization),
    ("Proxy-authorization", .proxyAuthorization), ("Proxy-Connection", .plain), ("Proxies", .plain),
    // Other names that would become the same variable, and the one that HTTP clients obey.
    ("Proxy", .withheld), ("PROXY", .withheld), ("X_Forwarded_For", .withheld), ("X-Forwarded_For", .withheld),
    ("a.b", .withheld),
    ("X Forwarded", .withheld), ("X-Forwarded-\u{e9}", .withheld), ("", .withheld), ("a\0b", .withheld),
  ])
  func headersAreTold(name: String, expected: HeaderKey) { #expect(key(name) == expected) }

  @Test(arguments: [("Accept", "HTTP_ACCEPT"), ("x-a-1", "HTTP_X_A_1"), ("Z", "HTTP_Z")])
  func namesBecomeVariables(name: String, variable: String) {
    let bytes = Array(name.utf8)
    let written = [UInt8](unsafeUninitializedCapacity: bytes.count + 5) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      bytes.withUnsafeBytes { HeaderKey.write($0, to: base) }
      count = bytes.count + 5
    }
    #expect(String(decoding: written, as: UTF8.self) == variable)
  }

  @Test(arguments: [
    ("PATH", true), ("Path", true), ("PATHS", false), ("HTTPS", true), ("https", true), ("HTTPD", false),
    ("mod_wsgi.request_id", true), ("mod_wsgi.request_ix", false), ("mod_wsgi.x-", true), ("MOD_WSGI.X-reload", true),
    ("mod_wsgi.y-reload", false), ("mod-wsgi.x-reload", false), ("mod_wsgi.x", false), ("", false), ("SSL_CIPHER", false),
  ])
  func variablesAreWithheld(name: String, expected: Bool) {
    #expect(Array(name.utf8).withUnsafeBytes { HeaderKey.isWithheld(variable: $0) } == expected)
  }
}
