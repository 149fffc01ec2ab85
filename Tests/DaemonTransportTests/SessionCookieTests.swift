import Testing

@testable import DaemonTransport

@Suite struct SessionCookieTests {
  /// RFC 4231, test cases 1, 2, 3, 6 and 7.
  @Test(arguments: [
    (
      [UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8),
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    ),
    (
      Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    ),
    (
      [UInt8](repeating: 0xAA, count: 20), [UInt8](repeating: 0xDD, count: 50),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
    ),
    (
      [UInt8](repeating: 0xAA, count: 131), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    ),
    (
      [UInt8](repeating: 0xAA, count: 131),
      Array(
        ("This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed"
          + " before being used by the HMAC algorithm.").utf8),
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
    ),
  ])
  func codesAreThoseOfTheStandard(secret: [UInt8], message: [UInt8], expected: String) {
    #expect(hexadecimal(SessionKey(secret).code(of: message)) == expected)
  }

  /// FIPS 180-4 and one message of each length around a block's end.
  @Test func hashesAreThoseOfTheStandard() {
    #expect(hexadecimal(SessionKey.hash([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    let text = Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)
    #expect(hexadecimal(SessionKey.hash(text)) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    let hashes = (50...130).map { hexadecimal(SessionKey.hash([UInt8](repeating: 0x61, count: $0))) }
    #expect(Set(hashes).count == 81)
    #expect(hashes[64 - 50] == "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb")
  }

  private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { (byte: UInt8) in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }

  private let cookie = SessionCookie(name: Array("S".utf8), group: Array("g".utf8), slots: 12, key: SessionKey([1, 2, 3]))

  private func slot(_ value: String, in cookie: SessionCookie? = nil) -> Int? {
    Array(value.utf8).withUnsafeBytes { (cookie ?? self.cookie).slot(of: $0) }
  }

  private func text(_ slot: Int) -> String { String(decoding: cookie.values[slot], as: UTF8.self) }

  @Test func aValueNamesItsSlotOnly() {
    for number in 0..<12 { #expect(slot(text(number)) == number) }
    #expect(Set(cookie.values).count == 12)
    let code = String(text(3).dropFirst(2))
    let wrong: [String] = [
      "", ".", "3", "3.", ".\(code)", "03.\(code)", "4.\(code)", "12.\(code)", "999.\(code)", "-3.\(code)", "3 .\(code)",
      "3.\(code)0", "3.\(code.dropLast())", "3.\(code.dropLast())g", "3.\(code.dropLast())A",
      "\(String(repeating: "9", count: 100_000)).\(code)",
    ]
    for value in wrong { #expect(slot(value) == nil, "\(value.prefix(60))") }
    for index in text(3).indices {
      var changed = Array(text(3))
      changed[text(3).distance(from: text(3).startIndex, to: index)] = text(3)[index] == "1" ? "2" : "1"
      #expect(slot(String(changed)) == nil)
    }
  }

  @Test func noOtherGroupAndNoOtherSecretHasTheSameValues() {
    for other in [
      SessionCookie(name: Array("S".utf8), group: Array("h".utf8), slots: 12, key: SessionKey([1, 2, 3])),
      SessionCookie(name: Array("S".utf8), group: Array("g".utf8), slots: 12, key: SessionKey([1, 2, 4])),
    ] {
      for number in 0..<12 { #expect(slot(text(number), in: other) == nil) }
    }
    let more = SessionCookie(name: Array("T".utf8), group: Array("g".utf8), slots: 13, key: SessionKey([1, 2, 3]))
    #expect(slot(text(11), in: more) == 11)
  }

  /// `%` stands for a valid value of slot 3, `@` for a well-formed one that is not valid.
  @Test(arguments: [
    ("a=b", nil, nil), ("", nil, nil), ("=", nil, nil), (";;;", nil, nil), ("xS=%", nil, nil), ("s=%", nil, nil),
    ("Sx=%", nil, nil),
    ("S", nil, nil), ("a=S=%", nil, nil), ("a=b,S=%", nil, nil), ("a=b, S=1; c=d", nil, nil), ("a=\"x, S=1\"", nil, nil),
    ("S=%", "", 3), ("S=%;", "", 3), (" S=% ", "", 3), ("S=% ; ; ", "", 3), ("S=", "", nil), ("S=x", "", nil), ("S = %", "", 3),
    ("a=b; S=%", "a=b", 3), ("S=%; a=b", "a=b", 3), ("a=b; S=%; c=d", "a=b; c=d", 3), ("a=b;S=%;c=d", "a=b;c=d", 3),
    ("a=b;  S=%; c=\"d e\"; f", "a=b; c=\"d e\"; f", 3), ("a=b; S=x, y; c=d", "a=b; c=d", nil), ("a=b; S=%;", "a=b;", 3),
    ("S=x; a=b; S=%", "a=b", 3), ("S=@; S=%", "", 3), ("S=%; S=%", "", 3), ("a=1; S=@", "a=1", nil),
    ("a=b, S=%", "a=b", 3), ("S=%, c=d", "c=d", 3), ("a=b, S=%, c=d", "a=b, c=d", 3), ("a=b; S=%, c=d; e=f", "a=b, c=d; e=f", 3),
    ("a=b, S=%; c=d", "a=b; c=d", 3), ("S=%, S=%", "", 3), ("S=%, S=x; a=b", "a=b", 3), ("a=b,c=d; S=%", "a=b,c=d", 3),
    ("a=b, c=d, S=%", "a=b, c=d", 3), ("S=%,", "", nil), ("S=%,x; a=b", "a=b", 3),
  ])
  func itIsTakenOutOfAHeader(header: String, rest: String?, slot: Int?) {
    let wrong = "3." + String(repeating: "0", count: 32)
    let header = header.map { $0 == "%" ? text(3) : $0 == "@" ? wrong : String($0) }.joined()
    let found = Array(header.utf8).withUnsafeBytes { cookie.take(from: $0) }
    #expect(found.bytes.map { String(decoding: $0, as: UTF8.self) } == rest)
    if header.hasSuffix(",") || header.contains(",x") { return }
    #expect(found.slot == slot)
  }

  /// Whatever a client sends, nothing but the cookie goes.
  @Test func otherBytesStay() {
    var dice = Dice(state: 7)
    let pieces = ["S=", "S", "=", ";", "; ", ", ", ",", " ", "a=b", "\"", text(3), text(4), "x", "\u{ff}", "3."]
    for _ in 0..<20_000 {
      let header = (0..<Int.random(in: 0...12, using: &dice)).map { _ in pieces.randomElement(using: &dice) ?? "" }.joined()
      let bytes = Array(header.utf8)
      let found = bytes.withUnsafeBytes { cookie.take(from: $0) }
      guard let rest = found.bytes else { continue }
      #expect(isSubsequence(rest, of: bytes) && rest.count < bytes.count, "\(header)")
      #expect(rest.withUnsafeBytes { cookie.take(from: $0) }.slot == nil, "\(header)")
    }
  }

  private func isSubsequence(_ part: [UInt8], of whole: [UInt8]) -> Bool {
    var rest = part[...]
    for byte in whole where byte == rest.first { rest = rest.dropFirst() }
    return rest.isEmpty
  }

  // MARK: hashing

  @Test func valuesAreSpreadAndStay() {
    let hashes = (0..<10_000).map { number in Array("session-\(number)".utf8).withUnsafeBytes { SessionHash($0) } }
    func slot(_ hash: SessionHash, _ slots: [Int]) -> Int { slots.max { hash.weight(of: $0) < hash.weight(of: $1) } ?? -1 }
    let four = hashes.map { slot($0, [0, 1, 2, 3]) }
    for number in 0..<4 { #expect((2_200...2_800).contains(four.count { $0 == number })) }
    for (hash, before) in zip(hashes, four) {
      // Slot 2 is lost: no other value moves, and all of its own do.
      let after = slot(hash, [3, 1, 0])
      #expect(before == 2 ? after != 2 : after == before)
      // There is one more: values move there only.
      let more = slot(hash, [0, 1, 2, 3, 4])
      #expect(more == before || more == 4)
    }
  }
}
