/// An IPv4 or IPv6 address. An IPv4 address that came mapped into IPv6 is an IPv4 address.
public struct IPAddress: Hashable, Sendable {
  let isIPv4: Bool
  let bits: UInt128

  /// Reads a dotted quad or what RFC 4291 2.2 allows; a zone after `%` is ignored. nil: it is not an address.
  public init?(_ text: some Sequence<UInt8>) { self.init(bytes: Array(text)[...]) }

  init?(bytes: ArraySlice<UInt8>) {
    if bytes.contains(Ascii.colon) {
      let address = bytes.firstIndex(of: Ascii.percent).map { bytes[..<$0] } ?? bytes
      guard let groups = IPAddress.groups(address) else { return nil }
      let all = groups.reduce(0) { $0 << 16 | UInt128($1) }
      isIPv4 = all >> 32 == 0xFFFF
      bits = isIPv4 ? all & 0xFFFF_FFFF : all
    } else {
      guard let octets = IPAddress.octets(bytes), octets.count == 4 else { return nil }
      isIPv4 = true
      bits = IPAddress.word(octets)
    }
  }

  /// One to four decimal numbers up to 255 with dots between them.
  static func octets(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var octets: [UInt8] = []
    for part in text.split(separator: Ascii.dot, omittingEmptySubsequences: false) {
      guard part.count <= 3, octets.count < 4, let number = NumberSyntax.integer(ByteText(part)),
        part.allSatisfy(NumberSyntax.isDigit), let octet = UInt8(exactly: number)
      else { return nil }
      octets.append(octet)
    }
    return octets
  }

  /// Octets as the upper part of an IPv4 address.
  static func word(_ octets: [UInt8]) -> UInt128 { (0..<4).reduce(0) { $0 << 8 | UInt128($1 < octets.count ? octets[$1] : 0) } }

  /// The eight 16-bit groups of an IPv6 address.
  private static func groups(_ text: ArraySlice<UInt8>) -> [UInt16]? {
    guard let gap = firstGap(text) else {
      guard let all = run(text), all.count == 8 else { return nil }
      return all
    }
    let after = gap + 2
    guard firstGap(text[(gap + 1)...]) == nil, let head = run(text[..<gap]), let tail = run(text[after...]),
      head.count + tail.count < 8
    else { return nil }
    return head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail
  }

  private static func firstGap(_ text: ArraySlice<UInt8>) -> Int? {
    guard text.count >= 2 else { return nil }
    return (text.startIndex..<(text.endIndex - 1)).first { text[$0] == Ascii.colon && text[$0 + 1] == Ascii.colon }
  }

  /// Groups with colons between them, the last two perhaps as a dotted quad; an empty text has no groups.
  private static func run(_ text: ArraySlice<UInt8>) -> [UInt16]? {
    guard !text.isEmpty else { return [] }
    let parts = text.split(separator: Ascii.colon, omittingEmptySubsequences: false)
    var groups: [UInt16] = []
    for (index, part) in parts.enumerated() {
      if index == parts.count - 1, part.contains(Ascii.dot) {
        guard let quad = octets(part), quad.count == 4 else { return nil }
        groups.append(UInt16(quad[0]) << 8 | UInt16(quad[1]))
        groups.append(UInt16(quad[2]) << 8 | UInt16(quad[3]))
        continue
      }
      guard !part.isEmpty, part.count <= 4, part.allSatisfy(isHexDigit),
        let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
      else { return nil }
      groups.append(group)
    }
    return groups.count <= 8 ? groups : nil
  }

  static func isHexDigit(_ byte: UInt8) -> Bool {
    let lower = asciiLowercase(byte)
    return NumberSyntax.isDigit(byte) || (lower >= 0x61 && lower <= 0x66)
  }
}

/// An address, or a network: the word of WSGITrustedProxies.
public struct Subnet: Hashable, Sendable {
  let isIPv4: Bool
  let network: UInt128
  let mask: UInt128

  /// Why a word is not a network.
  enum Failure: Error { case notAnAddress, badAddress, badMask }

  /// Reads `address`, `address/bits`, `address/dotted-mask`, or the first octets of an IPv4 network.
  init(_ text: ByteText) throws(Failure) {
    let hasColon = text.contains(Ascii.colon)
    let isKnown: (UInt8) -> Bool = {
      NumberSyntax.isDigit($0) || $0 == Ascii.slash
        || (hasColon ? IPAddress.isHexDigit($0) || $0 == Ascii.colon : $0 == Ascii.dot)
    }
    guard !text.isEmpty, text.bytes.allSatisfy(isKnown) else { throw .notAnAddress }
    if let slash = text.bytes.firstIndex(of: Ascii.slash) {
      try self.init(text.bytes[..<slash], mask: ByteText(text.bytes[(slash + 1)...]))
    } else if hasColon {
      try self.init(text.bytes[...], mask: nil)
    } else {
      guard let (word, mask) = Subnet.ipv4Network(text) else { throw .badAddress }
      self.init(isIPv4: true, address: word, mask: mask)
    }
  }

  private init(_ text: ArraySlice<UInt8>, mask: ByteText?) throws(Failure) {
    guard let address = IPAddress(bytes: text) else { throw .badAddress }
    let bits = address.isIPv4 ? 32 : 128
    guard let mask = mask.map({ Subnet.mask($0, isIPv4: address.isIPv4, bits: bits) }) ?? Subnet.mask(of: bits, in: bits) else {
      throw .badMask
    }
    self.init(isIPv4: address.isIPv4, address: address.bits, mask: mask)
  }

  private init(isIPv4: Bool, address: UInt128, mask: UInt128) {
    self.isIPv4 = isIPv4
    self.mask = mask
    network = address & mask
  }

  public func contains(_ address: IPAddress) -> Bool { address.isIPv4 == isIPv4 && address.bits & mask == network }

  /// `10.1` or `10.1.` is the network 10.1.0.0/16.
  private static func ipv4Network(_ text: ByteText) -> (word: UInt128, mask: UInt128)? {
    var digits = text.bytes[...]
    if digits.last == Ascii.dot { digits = digits.dropLast() }
    guard !digits.isEmpty, let octets = IPAddress.octets(digits) else { return nil }
    return (IPAddress.word(octets), mask(of: octets.count * 8, in: 32))
  }

  private static func mask(_ text: ByteText, isIPv4: Bool, bits: Int) -> UInt128? {
    if isIPv4, text.contains(Ascii.dot) {
      guard let octets = IPAddress.octets(text.bytes[...]), octets.count == 4 else { return nil }
      return IPAddress.word(octets)
    }
    guard text.bytes.allSatisfy(NumberSyntax.isDigit), let count = NumberSyntax.integer(text), count > 0, count <= bits else {
      return nil
    }
    return mask(of: count, in: bits)
  }

  /// `count` ones and then zeros. A shift by 128 gives 0, which is what is meant.
  private static func mask(of count: Int, in bits: Int) -> UInt128 { (UInt128.max << (bits - count)) & ~(UInt128.max << bits) }
}
