import Testing
import WSGICore

@Suite struct RequestPathTests {
  private func withBytes<R>(_ text: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    Array(text.utf8).withUnsafeBytes(body)
  }

  @Test(arguments: [
    ("/app/info", "/info", "/app"),
    ("/app", "", "/app"),
    ("/app/", "", "/app/"),
    ("/info", "/info", ""),
    ("/", "/", ""),
    ("//a//b", "/a/b", ""),
    ("/app//a///b", "/a/b", "/app"),
    ("/app/x.wsgi/a/", "/a/", "/app/x.wsgi"),
    // The path info is not the end of the URI: as much as there is of the segment belongs to the script.
    ("/other/b", "/a/b", "/other"),
    ("/app", "/longer/than/the/uri/app", ""),
  ])
  func scriptNameEndsWherePathInfoBegins(uri: String, info: String, name: String) {
    let length = withBytes(uri) { uri in withBytes(info) { RequestPath.scriptNameLength(uri: uri, pathInfo: $0) } }
    #expect(String(decoding: Array(uri.utf8).prefix(length), as: UTF8.self) == name)
  }

  @Test(arguments: [("", ""), ("/", "/"), ("//", "/"), ("/a//b///c/", "/a/b/c/"), ("a/b", "a/b"), ("///a", "/a")])
  func runsOfSlashesBecomeOne(path: String, collapsed: String) {
    var result = "?"
    withBytes(path) { RequestPath.withCollapsedSlashes($0) { result = String(decoding: $0, as: UTF8.self) } }
    #expect(result == collapsed)
  }

  @Test(arguments: [
    ("GET /a?b HTTP/1.1", "/a?b"), ("GET  //x%20  HTTP/1.0", "//x%20"), ("GET /old", "/old"), ("GET", ""), ("", ""), ("   ", ""),
  ])
  func targetIsTheSecondWord(line: String, target: String) {
    #expect(withBytes(line) { String(decoding: RequestPath.target(ofRequestLine: $0), as: UTF8.self) } == target)
  }

  @Test(arguments: [(UInt32(0), "0"), (80, "80"), (65535, "65535"), (.max, "4294967295")])
  func decimals(number: UInt32, digits: String) {
    var result = ""
    RequestPath.withDecimal(number) { result = String(decoding: $0, as: UTF8.self) }
    #expect(result == digits)
  }
}

@Suite struct HeaderSyntaxTests {
  private func check(_ bytes: [UInt8], _ test: (UnsafeRawBufferPointer) -> Bool) -> Bool { bytes.withUnsafeBytes { test($0) } }

  @Test func namesAreTokens() {
    #expect(check(Array("X-Powered-By".utf8), HeaderSyntax.isToken))
    #expect(check(Array("!#$%&'*+-.^_`|~09az".utf8), HeaderSyntax.isToken))
    for bad in ["", "a b", "a:b", "(a)", "a\r\n", "caf\u{e9}", "a\0"] { #expect(!check(Array(bad.utf8), HeaderSyntax.isToken)) }
  }

  @Test func valuesHoldNoControlCharacters() {
    #expect(check([], HeaderSyntax.isFieldContent))
    #expect(check(Array("text/plain;\tcharset=\"utf-8\"".utf8) + [0x80, 0xFF], HeaderSyntax.isFieldContent))
    for bad: UInt8 in [0, 0x0A, 0x0D, 0x1B, 0x7F] { #expect(!check([0x61, bad], HeaderSyntax.isFieldContent)) }
  }

  @Test func namesAreComparedWithoutCase() {
    #expect(check(Array("Content-LENGTH".utf8)) { HeaderSyntax.equals($0, "content-length") })
    #expect(!check(Array("Content-Lengt".utf8)) { HeaderSyntax.equals($0, "content-length") })
    // '@' and '`' differ by the bit that letters of two cases differ by.
    #expect(!check(Array("@".utf8)) { HeaderSyntax.equals($0, "`") })
  }
}
