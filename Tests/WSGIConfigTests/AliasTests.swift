import Testing

@testable import WSGIConfig

@Suite struct AliasTests {
  /// Alias, target, URI; the file it leads to, nil where it does not match.
  static let literal: [(String, String, String, String?)] = [
    ("/app", "/srv/app.wsgi", "/app", "/srv/app.wsgi"), ("/app", "/srv/app.wsgi", "/app/", "/srv/app.wsgi/"),
    ("/app", "/srv/app.wsgi", "/app/x/y", "/srv/app.wsgi/x/y"), ("/app", "/srv/app.wsgi", "/application", nil),
    ("/app", "/srv/app.wsgi", "/ap", nil), ("/app", "/srv/app.wsgi", "/App", nil),
    ("/app", "/srv/app.wsgi", "//app", "/srv/app.wsgi"),
    ("/app", "/srv/app.wsgi", "/app//x", "/srv/app.wsgi//x"), ("//app", "/srv/app.wsgi", "/app/x", "/srv/app.wsgi/x"),
    ("/a/b", "/t", "/a//b/c", "/t/c"), ("/a//b", "/t", "/a/b", "/t"), ("/app/", "/srv/apps/", "/app/x", "/srv/apps/x"),
    ("/app/", "/srv/apps/", "/app", nil), ("/app/", "/srv/apps/", "/app//x", "/srv/apps/x"),
    ("/", "/srv/app.wsgi", "/", "/srv/app.wsgi/"), ("/", "/srv/app.wsgi", "/x/y", "/srv/app.wsgi/x/y"),
    ("/", "/srv/app.wsgi", "//x", "/srv/app.wsgi//x"), ("//", "/srv/app.wsgi", "/x", "/srv/app.wsgix"),
    ("/", "/srv/app.wsgi", "x", nil), ("/", "/srv/app.wsgi", "*", nil), ("/", "/srv/app.wsgi", "", nil),
    ("app", "/srv/app.wsgi", "/app", nil),
  ]

  @Test(arguments: literal)
  func matchesAsAliasDoes(_ alias: String, _ target: String, _ uri: String, _ expected: String?) {
    var config = TestConfig()
    #expect(config.read("WSGIScriptAlias \(alias) \(target)") == nil)
    #expect(filename(config, uri) { _ in nil } == expected)
  }

  func filename(_ config: TestConfig, _ uri: String, regex: (RegexHandle) -> AliasMatching.Captures?) -> String? {
    let bytes = [UInt8](uri.utf8)
    guard let match = AliasMatching.first(of: config.serverConfig.value.aliases, matching: bytes.span, regex: regex) else {
      return nil
    }
    var name: [UInt8] = []
    match.appendFilename(uri: bytes.span, to: &name)
    return ByteText(name).description
  }

  /// Target, URI, what the expression matched; the file.
  static let regular: [(String, String, [Range<Int>?], String?)] = [
    ("/srv/$1/app.wsgi", "/shop/x", [0..<5, 1..<5], "/srv/shop/app.wsgi/x"), ("/srv/$0", "/shop/x", [0..<5], "/srv//shop/x"),
    ("/srv/$2.wsgi", "/shop/x", [0..<5, 1..<5], "/srv/.wsgi/x"), ("/srv/$1.wsgi", "/shop", [0..<5, nil], "/srv/.wsgi"),
    ("/srv/\\$1.wsgi", "/shop", [0..<5, 1..<5], nil), ("/srv/a$b$.wsgi", "/shop", [0..<5], "/srv/a$b$.wsgi"),
    ("/srv/app.wsgi", "/x/y", [0..<1], "/srv/app.wsgi/x/y"), ("/srv/app.wsgi", "/x/y", [0..<0], nil),
    ("/srv/app.wsgi", "/x/y", [2..<4], "/srv/app.wsgi"), ("/srv/app.wsgi", "/x", [0..<40], nil),
    ("/srv/$1", "/x", [0..<2, 1..<40], "/srv/x"), ("/srv/app.wsgi", "/x", [], nil), ("/srv/app.wsgi", "/x", [nil], nil),
  ]

  @Test(arguments: regular)
  func substitutesWhatMatched(_ target: String, _ uri: String, _ captures: [Range<Int>?], _ expected: String?) {
    var config = TestConfig()
    #expect(config.read("WSGIScriptAliasMatch ^/([a-z]+) '\(target)'") == nil)
    let name = filename(config, uri) { handle in handle == 1 ? captures : nil }
    // A backslash takes the meaning of a dollar sign away.
    #expect(name == (target.contains("\\") ? "/srv/$1.wsgi" : expected))
  }

  @Test func theFirstThatMatchesWins() {
    var config = TestConfig()
    config.read("WSGIScriptAlias /a /1")
    config.read("WSGIScriptAliasMatch ^/never /2")
    config.read("WSGIScriptAlias /a/b /3")
    config.read("WSGIScriptAlias / /4")
    #expect(filename(config, "/a/b") { _ in nil } == "/1/b")
    #expect(filename(config, "/c") { _ in nil } == "/4/c")
  }
}
