import Testing

@testable import WSGIConfig

/// Words and numbers, as httpd and this module read them.
@Suite struct WordTests {
  static let words: [(String, [ByteText])] = [
    ("", []), ("   ", []), ("a", ["a"]), ("  a  b\tc ", ["a", "b", "c"]),
    ("'a b' \"c d\"", ["a b", "c d"]), ("\"\" x", ["", "x"]), ("\"a\"b", ["a", "b"]),
    (#""a\"b" c"#, [#"a"b"#, "c"]), (#"'a\'b'"#, ["a'b"]), (#"'a\"b'"#, [#"a\"b"#]), (#"a\\b"#, [#"a\b"#]),
    (#"a\"b"#, [#"a\"b"#]), (#"a\ b"#, [#"a\"#, "b"]), (#""never closed"#, ["never closed"]), ("\"", [""]),
    (#"end\"#, [#"end\"#]), (#""end\"#, [#"end\"#]), ("a'b c'd", ["a'b", "c'd"]),
  ]

  @Test(arguments: words)
  func splits(_ text: String, _ expected: [ByteText]) {
    var line = ConfigLine(ByteText(text))
    var found: [ByteText] = []
    while let word = line.nextWord() { found.append(word) }
    #expect(found == expected)
  }

  static let options: [(String, [String])] = [
    ("a=1 b=2", ["a=1", "b=2"]), ("a='x y' b=\"z\"", ["a=x y", "b=z"]), ("a= 5", ["a=5"]), ("a= b=2", ["a=", "b=2"]),
    ("a=", ["a="]), ("a==b", ["a==b"]), ("a=b=c", ["a=b=c"]), ("a=\"b=c\"", ["a=b=c"]), ("a= \"b=c\"", ["a=b=c"]),
    ("a=1 junk b=2", ["a=1", "! junk"]), ("=5", ["! =5"]), ("a =5", ["! a"]), ("'a=5'", ["'a=5'"]), ("\"a b\"=5", ["! a b"]),
  ]

  @Test(arguments: options)
  func readsOptions(_ text: String, _ expected: [String]) {
    var line = ConfigLine(ByteText(text))
    var found: [String] = []
    do throws(ConfigError) {
      while let option = try line.nextOption({ ConfigError("! \($0)") }) { found.append("\(option.name)=\(option.value)") }
    } catch {
      found.append(error.message)
    }
    #expect(found == expected)
  }

  static let integers: [(String, Int?)] = [
    ("0", 0), ("15", 15), ("-3", -3), ("+3", 3), ("007", 7), ("", nil), ("-", nil), ("x", nil), ("2two", nil), ("1.5", nil),
    ("1 ", nil), ("0x10", nil), ("9223372036854775807", Int.max), ("9223372036854775808", nil), ("99999999999999999999999", nil),
  ]

  @Test(arguments: integers)
  func readsIntegers(_ text: String, _ expected: Int?) { #expect(NumberSyntax.integer(ByteText(text)) == expected) }

  static let octals: [(String, Int?)] = [("022", 0o22), ("0", 0), ("9", nil), ("", nil), ("-1", nil), ("7777", 0o7777)]

  @Test(arguments: octals)
  func readsOctals(_ text: String, _ expected: Int?) { #expect(NumberSyntax.octal(ByteText(text)) == expected) }

  static let sizes: [(String, Int?)] = [
    ("512", 512), ("8K", 8192), ("8k", 8192), ("2M", 2 << 20), ("1g", 1 << 30), ("0", 0), ("K", nil), ("1KB", nil), ("1T", nil),
    ("-1K", -1024), ("9223372036854775807K", nil), ("1.5K", nil),
  ]

  @Test(arguments: sizes)
  func readsSizes(_ text: String, _ expected: Int?) { #expect(NumberSyntax.size(ByteText(text)) == expected) }

  static let times: [(String, Milliseconds?)] = [
    ("0", 0), ("15", 15_000), ("15s", 15_000), ("250ms", 250), ("2min", 120_000), ("1h", 3_600_000), ("1H", 3_600_000),
    ("1d", nil), ("s", nil), ("1.5", nil), ("-1", -1_000), ("9223372036854775807", nil), ("1 h", nil),
  ]

  @Test(arguments: times)
  func readsTimes(_ text: String, _ expected: Milliseconds?) {
    #expect(NumberSyntax.time(ByteText(text), plainUnit: 1_000) == expected)
  }

  @Test func aPlainNumberTakesTheOptionsOwnUnit() {
    #expect(NumberSyntax.time("5", plainUnit: 1) == 5)
    #expect(NumberSyntax.time("1s", plainUnit: 1) == 1_000)
  }

  static let seconds: [(String, Double?)] = [
    ("0.005", 0.005), (".5", 0.5), ("5.", 5), ("1e-3", 0.001), ("1E2", 100), ("1e", nil), ("5ms", 0.005), ("2min", 120),
    ("1h", 3600),
    ("-1", -1), ("", nil), (".", nil), ("x", nil), ("1x", nil), ("inf", nil), ("nan", nil), ("0x1p3", nil), ("1e400", nil),
    ("1.2.3", nil),
  ]

  @Test(arguments: seconds)
  func readsSeconds(_ text: String, _ expected: Double?) { #expect(NumberSyntax.seconds(ByteText(text)) == expected) }
}
