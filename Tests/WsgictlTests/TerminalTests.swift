import Testing

@testable import wsgictl

@Suite struct TerminalTests {
  static let words: [([UInt8], String)] = [
    ([], ""), (Array("/shop/a?b".utf8), "/shop/a?b"), (Array("na\u{EF}ve \u{20AC}".utf8), "na\u{EF}ve\\x20\u{20AC}"),
    ([0x1B, 0x5B, 0x32, 0x4A, 0x07, 0x7F, 0], "\\x1b[2J\\x07\\x7f\\x00"), (Array("a\\x41".utf8), "a\\x5cx41"),
    // C1 controls, marks that turn text around, separators.
    (Array("\u{9B}\u{202E}\u{2028}\u{A0}".utf8), "\\xc2\\x9b\\xe2\\x80\\xae\\xe2\\x80\\xa8\\xc2\\xa0"),
    // Not UTF-8: stray and missing bytes, an overlong slash, a surrogate, beyond Unicode.
    ([0x41, 0xFF, 0x42, 0x80], "A\\xffB\\x80"), ([0xE2, 0x82], "\\xe2\\x82"), ([0xE2, 0x82, 0x41], "\\xe2\\x82A"),
    ([0xC0, 0xAF, 0x41], "\\xc0\\xafA"), ([0xED, 0xA0, 0x80, 0x41], "\\xed\\xa0\\x80A"),
    ([0xF4, 0x90, 0x80, 0x80, 0x41], "\\xf4\\x90\\x80\\x80A"),
  ]

  @Test(arguments: words) func aWordHoldsNothingThatATerminalObeys(_ bytes: [UInt8], _ expected: String) {
    #expect(Terminal.escaped(bytes) == expected)
  }

  @Test func jsonEscapesAllControlCharacters() {
    #expect(JSON.text("\u{1B}\u{7F}\u{9B}\"\\").text == #""\u001b\u007f\u009b\"\\""#)
  }
}
