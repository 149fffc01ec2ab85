import Testing
import WSGICore

@Suite struct HeaderRulesTests {
  private func with<R>(_ text: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    Array(text.utf8).withUnsafeBytes { body($0) }
  }

  @Test func tokens() {
    let signs = "!#$%&'*+-.^_`|~"
    for byte in UInt8.min...UInt8.max {
      let scalar = Unicode.Scalar(byte)
      let expected =
        byte < 128
        && (("0"..."9").contains(scalar) || ("A"..."Z").contains(scalar) || ("a"..."z").contains(scalar)
          || signs.unicodeScalars.contains(scalar))
      #expect([byte].withUnsafeBytes { HeaderSyntax.isToken($0) } == expected, "\(byte)")
    }
    #expect(!with("") { HeaderSyntax.isToken($0) } && !with("A B") { HeaderSyntax.isToken($0) })
  }

  @Test(arguments: [
    "TE", "te", "Trailer", "trailers", "UPGRADE", "Keep-Alive", "Transfer-Encoding", "transfer-encoding", "Proxy-Connection",
    "proxy-", "Proxy-A", "Proxy-Auth", "Proxy-Authenticate",
  ]) func forTheServerAlone(name: String) { #expect(with(name) { HeaderSyntax.meaning($0) } == .hopByHop) }

  @Test(arguments: [
    "", "T", "ETag", "Content-Encoding", "Content-Type", "X-Proxy-A", "Prox", "Proxies", "Proxied", "Transfer-Encodings",
  ])
  func forAnybody(name: String) { #expect(with(name) { HeaderSyntax.meaning($0) } == .ordinary) }

  @Test func headersWithAMeaningOfTheirOwn() {
    #expect(with("Content-LENGTH") { HeaderSyntax.meaning($0) } == .contentLength)
    #expect(with("CONNECTION") { HeaderSyntax.meaning($0) } == .connection)
  }

  /// What is looked at eight bytes at a time is what each byte says, wherever in it a byte stands.
  @Test(arguments: [1, 7, 8, 9, 15, 16, 17, 24]) func everyByteEverywhere(count: Int) {
    for place in 0..<count {
      for byte in UInt8.min...UInt8.max {
        var name = [UInt8](repeating: UInt8(ascii: "a"), count: count)
        if place > 0 { name[place - 1] = UInt8(ascii: "-") }
        name[place] = byte
        let isToken = [byte].withUnsafeBytes { HeaderSyntax.isToken($0) }
        #expect(name.withUnsafeBytes { HeaderSyntax.isToken($0) } == isToken, "\(byte) at \(place) of \(count)")
        let isContent = byte >= 0x20 && byte != 0x7F || byte == 0x09
        #expect(name.withUnsafeBytes { HeaderSyntax.isFieldContent($0) } == isContent, "\(byte) at \(place) of \(count)")
      }
    }
  }

  @Test func noOtherNameIsTaken() {
    let wanted = Array("transfer-encoding".utf8)
    for place in wanted.indices {
      for byte in UInt8.min...UInt8.max {
        var name = wanted
        name[place] = byte
        let upper = Array("TRANSFER-ENCODING".utf8)[place]
        let isSame = byte == wanted[place] || byte == upper
        #expect(
          name.withUnsafeBytes { HeaderSyntax.equals($0, "transfer-encoding") } == isSame, "\(byte) at \(place)")
      }
    }
  }

  @Test(arguments: [
    ("close", true), ("Close", true), ("a, close", true), ("\tclose ,b", true), ("", false), (",", false), ("closed", false),
    ("keep-alive", false), ("c lose", false),
  ]) func connections(value: String, asks: Bool) { #expect(with(value) { HeaderSyntax.asksToClose($0) } == asks) }

  @Test(
    arguments: [
      ("5", 5), (" 5\t", 5), ("007", 7), ("", nil), ("+5", nil), ("5 5", nil), ("5,5", nil), ("-1", nil),
      ("999999999999999999", 999_999_999_999_999_999), ("1000000000000000000", nil),
    ] as [(String, Int64?)])
  func lengths(text: String, value: Int64?) { #expect(with(text) { HeaderSyntax.length($0) } == value) }

  @Test func literals() {
    let bytes: [UInt8] = [0x41, 0x27, 0x5C, 0x09, 0x0A, 0x0D, 0x00, 0x7F, 0xE9]
    #expect(bytes.withUnsafeBytes { bytesLiteral($0) } == #"b'A\'\\\t\n\r\x00\x7f\xe9'"#)
    #expect(with("abcdef") { bytesLiteral($0, limit: 3) } == "b'abc'...")
  }
}
