import Testing

@testable import WSGIConfig

@Suite struct AddressTests {
  static let addresses: [(String, Bool)] = [
    ("1.2.3.4", true), ("255.255.255.255", true), ("256.1.1.1", false), ("1.2.3", false), ("1.2.3.4.5", false), ("", false),
    ("1.2.3.4 ", false), ("1..2.3", false), ("+1.2.3.4", false), ("::", true), ("::1", true), ("1::", true),
    ("1:2:3:4:5:6:7:8", true),
    ("1:2:3:4:5:6:7", false), ("1:2:3:4:5:6:7:8:9", false), ("1::2::3", false), (":::", false), ("1:2:3:4:5:6:7::", true),
    ("1:2:3:4:5:6:7:8::", false), ("::ffff:1.2.3.4", true), ("::1.2.3", false), ("::1.2.3.4:5", false), ("FE80::ABCD", true),
    ("fe80::1%eth0", true), ("12345::", false), ("g::", false), (":1", false), ("1:", false), ("[::1]", false),
    ("1.2.3.4:80", false),
    ("unknown", false), ("_hidden", false),
  ]

  @Test(arguments: addresses)
  func reads(_ text: String, _ isAddress: Bool) { #expect((IPAddress(text.utf8) != nil) == isAddress) }

  static let members: [(String, String, Bool)] = [
    ("10.0.0.0/8", "10.255.1.2", true), ("10.0.0.0/8", "11.0.0.1", false), ("10", "10.9.9.9", true), ("10.1.", "10.1.9.9", true),
    ("10.1", "10.2.0.0", false), ("1.2.3.4", "1.2.3.4", true), ("1.2.3.4", "1.2.3.5", false),
    ("10.0.0.0/255.0.255.0", "10.9.0.9", true),
    ("10.0.0.0/255.0.255.0", "10.9.1.9", false), ("::1", "::1", true), ("fd00::/8", "fdff::1", true),
    ("fd00::/8", "fc00::1", false),
    ("2001:db8::/64", "2001:DB8::ffff", true), ("2001:db8::/65", "2001:db8::8000:0:0:0", false), ("::/1", "1.2.3.4", false),
    ("::/1", "::ffff:1.2.3.4", false), ("1.2.3.4", "::ffff:1.2.3.4", true), ("10.0.0.0/8", "not an address", false),
    ("10.0.0.1/32", "10.0.0.1", true), ("2001:db8::1/128", "2001:db8::1", true),
  ]

  @Test(arguments: members)
  func contains(_ subnet: String, _ address: String, _ isMember: Bool) throws {
    let subnet = try Subnet(ByteText(subnet))
    #expect(TrustedProxies.isMember(ArraySlice(address.utf8), of: [subnet]) == isMember)
  }
}

@Suite struct ProxyTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let what: String
    var headers = "X-Forwarded-For"
    var proxies: String?
    var peer = "10.0.0.1"
    let sent: [String: String]
    /// Of the environ afterwards, what differs from what was sent; nil: the variable has gone.
    var expected: [String: String?] = [:]
    var decided = false
    var testDescription: String { what }
  }

  static let cases: [Case] = [
    Case(what: "nothing sent", sent: [:]),
    Case(
      what: "first item without a list", sent: ["X_FORWARDED_FOR": " 1.1.1.1 , 2.2.2.2"], expected: ["REMOTE_ADDR": "1.1.1.1"]),
    Case(
      what: "first item need not be an address", sent: ["X_FORWARDED_FOR": ",,unknown,2.2.2.2"],
      expected: ["REMOTE_ADDR": "unknown"]),
    Case(what: "no items", sent: ["X_FORWARDED_FOR": " , ,"]),
    Case(
      what: "no items keep the header as winner", sent: ["X_FORWARDED_FOR": ",", "X_REAL_IP": "5.5.5.5"],
      expected: ["HTTP_X_REAL_IP": nil]),
    Case(
      what: "the item left of our proxies", proxies: "10.0.0.0/8",
      sent: ["X_FORWARDED_FOR": "6.6.6.6, 1.1.1.1, 10.0.0.2,10.0.0.3"],
      expected: ["REMOTE_ADDR": "1.1.1.1", "HTTP_X_FORWARDED_FOR": "1.1.1.1, 10.0.0.2, 10.0.0.3"]),
    Case(
      what: "all of them ours", proxies: "10.0.0.0/8", sent: ["X_FORWARDED_FOR": "10.0.0.2, 10.0.0.3"],
      expected: ["REMOTE_ADDR": "10.0.0.2", "HTTP_X_FORWARDED_FOR": "10.0.0.2, 10.0.0.3"]),
    Case(
      what: "none of them ours", proxies: "10.0.0.0/8", sent: ["X_FORWARDED_FOR": "6.6.6.6, 1.1.1.1"],
      expected: ["REMOTE_ADDR": "1.1.1.1", "HTTP_X_FORWARDED_FOR": "1.1.1.1"]),
    Case(
      what: "no address stops the scan", proxies: "10.0.0.0/8", sent: ["X_FORWARDED_FOR": "10.0.0.9, junk, 10.0.0.3"],
      expected: ["REMOTE_ADDR": "junk", "HTTP_X_FORWARDED_FOR": "junk, 10.0.0.3"]),
    Case(
      what: "peer not trusted: all of the category goes", proxies: "10.0.0.0/8", peer: "9.9.9.9",
      sent: ["X_FORWARDED_FOR": "1.1.1.1", "X_REAL_IP": "2.2.2.2", "X_FORWARDED_HOST": "h"],
      expected: ["HTTP_X_FORWARDED_FOR": nil, "HTTP_X_REAL_IP": nil]),
    Case(
      what: "peer is no address", proxies: "10.0.0.0/8", peer: "", sent: ["X_FORWARDED_FOR": "1.1.1.1"],
      expected: ["HTTP_X_FORWARDED_FOR": nil]),
    Case(
      what: "IPv6 peer in upper case", proxies: "FD00::/8", peer: "FD00::1", sent: ["X_FORWARDED_FOR": "2001:db8::1"],
      expected: ["REMOTE_ADDR": "2001:db8::1", "HTTP_X_FORWARDED_FOR": "2001:db8::1"]),
    Case(
      what: "a synonym that is not listed goes", sent: ["X_FORWARDED_FOR": "1.1.1.1", "X_CLIENT_IP": "2.2.2.2"],
      expected: ["REMOTE_ADDR": "1.1.1.1", "HTTP_X_CLIENT_IP": nil]),
    Case(
      what: "the later header of a category wins", headers: "X-Forwarded-For X-Real-IP",
      sent: ["X_FORWARDED_FOR": "1.1.1.1", "X_REAL_IP": "2.2.2.2"],
      expected: ["REMOTE_ADDR": "2.2.2.2", "HTTP_X_FORWARDED_FOR": nil]),
    Case(
      what: "only a header that is there wins", headers: "X-Forwarded-For X-Real-IP", sent: ["X_FORWARDED_FOR": "1.1.1.1"],
      expected: ["REMOTE_ADDR": "1.1.1.1"]),
    Case(
      what: "host, server and port", headers: "X-Forwarded-Host X-Forwarded-Server X-Forwarded-Port",
      sent: ["X_FORWARDED_HOST": "a.example", "X_FORWARDED_SERVER": "b.example", "X_FORWARDED_PORT": "8443", "X_HOST": "c"],
      expected: ["HTTP_HOST": "a.example", "SERVER_NAME": "b.example", "SERVER_PORT": "8443", "HTTP_X_HOST": nil]),
    Case(
      what: "script name", headers: "X-Script-Name X-Forwarded-Script-Name", sent: ["X_SCRIPT_NAME": "/mount"],
      expected: ["SCRIPT_NAME": "/mount", "mod_wsgi.mount_point": "/mount"]),
    Case(
      what: "https", headers: "X-Forwarded-Proto", sent: ["X_FORWARDED_PROTO": "HTTPS"], expected: ["HTTPS": "1"], decided: true),
    Case(
      what: "http", headers: "X-Forwarded-Proto", sent: ["X_FORWARDED_PROTO": "http", "=HTTPS": "1"],
      expected: ["HTTPS": nil],
      decided: true),
    Case(what: "another scheme", headers: "X-Scheme", sent: ["X_SCHEME": "wss", "=HTTPS": "1"], decided: true),
    Case(what: "on", headers: "X-Forwarded-SSL", sent: ["X_FORWARDED_SSL": "On"], expected: ["HTTPS": "1"], decided: true),
    Case(
      what: "true", headers: "X-Forwarded-HTTPS", sent: ["X_FORWARDED_HTTPS": "TRUE"], expected: ["HTTPS": "1"], decided: true),
    Case(what: "0", headers: "X-HTTPS", sent: ["X_HTTPS": "0", "=HTTPS": "1"], expected: ["HTTPS": nil], decided: true),
    Case(
      what: "the last of two schemes", headers: "X-Forwarded-Proto X-Forwarded-SSL",
      sent: ["X_FORWARDED_PROTO": "https", "X_FORWARDED_SSL": "off"],
      expected: ["HTTP_X_FORWARDED_PROTO": nil], decided: true),
    Case(
      what: "a scheme that is not sent decides nothing", headers: "X-Forwarded-Proto", sent: ["X_FORWARDED_SSL": "on"],
      expected: ["HTTP_X_FORWARDED_SSL": nil]),
    Case(what: "a header without a meaning", headers: "X-Unheard-Of", sent: ["X_UNHEARD_OF": "1", "X_REAL_IP": "2"]),
  ]

  @Test(arguments: cases)
  func changesEnviron(_ test: Case) {
    var config = TestConfig()
    #expect(config.read("WSGITrustedProxyHeaders \(test.headers)") == nil)
    if let proxies = test.proxies { #expect(config.read("WSGITrustedProxies \(proxies)") == nil) }
    var before = ["REMOTE_ADDR": test.peer]
    for (key, value) in test.sent { before[key.hasPrefix("=") ? String(key.dropFirst()) : "HTTP_\(key)"] = value }
    let scope = config.serverConfig.value.scope
    let outcome = TrustedProxies.outcome(
      headers: scope.trustedProxyHeaders ?? [], proxies: scope.trustedProxies, peer: [UInt8](test.peer.utf8)
    ) { variable in before[ByteText(variable).description].map { [UInt8]($0.utf8) } }

    var after = before
    for change in outcome.changes {
      switch change {
      case .set(let key, let value): after[ByteText(key).description] = ByteText(value).description
      case .remove(let key): after[ByteText(key).description] = nil
      }
    }
    var expected = before
    for (key, value) in test.expected { expected[key] = value }
    #expect(after == expected)
    #expect(outcome.isSchemeDecided == test.decided)
  }
}
