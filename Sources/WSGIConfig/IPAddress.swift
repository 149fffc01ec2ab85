/// An IPv4 or IPv6 address. An IPv4 address that came mapped into IPv6 is an IPv4 address.
public struct IPAddress: Hashable, Sendable {
  let isIPv4: Bool
  let high: UInt64
  let low: UInt64

  /// Reads a dotted quad or what RFC 4291 2.2 allows; a zone behind `%` is ignored. nil: it is no address.
  public init?(_ text: some Sequence<UInt8>) {
    self.init(bytes: Array(text)[...])
  }

  init?(bytes: ArraySlice<UInt8>) {
    if bytes.contains(Ascii.colon) {
      let address = bytes.firstIndex(of: Ascii.percent).map { bytes[..<$0] } ?? bytes
      guard let groups = IPAddress.groups(address) else { return nil }
      var words: (high: UInt64, low: UInt64) = (0, 0)
      for group in groups.prefix(4) { words.high = words.high << 16 | UInt64(group) }
      for group in groups.suffix(4) { words.low = words.low << 16 | UInt64(group) }
      let isMapped = words.high == 0 && words.low >> 32 == 0xFFFF
      self.init(isIPv4: isMapped, high: isMapped ? 0 : words.high, low: isMapped ? words.low & 0xFFFF_FFFF : words.low)
    } else {
      guard let octets = IPAddress.octets(bytes), octets.count == 4 else { return nil }
      self.init(isIPv4: true, high: 0, low: IPAddress.word(octets))
    }
  }

  init(isIPv4: Bool, high: UInt64, low: UInt64) {
    self.isIPv4 = isIPv4
    self.high = high
    self.low = low
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
  static func word(_ octets: [UInt8]) -> UInt64 {
    var word: UInt64 = 0
    for index in 0..<4 { word = word << 8 | UInt64(index < octets.count ? octets[index] : 0) }
    return word
  }

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

  /// Groups with colons between them, the last two perhaps as a dotted quad; nothing is no groups.
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
  let network: (high: UInt64, low: UInt64)
  let mask: (high: UInt64, low: UInt64)

  /// Why a word is no network.
  enum Failure: Error { case notAnAddress, badAddress, badMask }

  /// Reads `address`, `address/bits`, `address/dotted-mask`, or the first octets of an IPv4 network.
  init(_ text: ByteText) throws(Failure) {
    let hasColon = text.contains(Ascii.colon)
    let isKnown: (UInt8) -> Bool = {
      NumberSyntax.isDigit($0) || $0 == Ascii.slash
        || (hasColon ? IPAddress.isHexDigit($0) || $0 == Ascii.colon : $0 == Ascii.dot)
    }
    guard !text.isEmpty, text.bytes.allSatisfy(isKnown) else { throw .notAnAddress }
    guard let slash = text.bytes.firstIndex(of: Ascii.slash) else {
      guard !hasColon else {
        try self.init(text.bytes[...], mask: nil)
        return
      }
      guard let (word, mask) = Subnet.ipv4Network(text) else { throw .badAddress }
      self.init(isIPv4: true, address: (0, word), mask: (0, mask))
      return
    }
    try self.init(text.bytes[..<slash], mask: ByteText(text.bytes[(slash + 1)...]))
  }

  private init(_ text: ArraySlice<UInt8>, mask: ByteText?) throws(Failure) {
    guard let address = IPAddress(bytes: text) else { throw .badAddress }
    let bits = address.isIPv4 ? 32 : 128
    guard let words = mask.map({ Subnet.mask($0, isIPv4: address.isIPv4, bits: bits) }) ?? Subnet.mask(of: bits, in: bits) else {
      throw .badMask
    }
    self.init(isIPv4: address.isIPv4, address: (address.high, address.low), mask: words)
  }

  private init(isIPv4: Bool, address: (high: UInt64, low: UInt64), mask: (high: UInt64, low: UInt64)) {
    self.isIPv4 = isIPv4
    self.mask = mask
    network = (address.high & mask.high, address.low & mask.low)
  }

  public func contains(_ address: IPAddress) -> Bool {
    address.isIPv4 == isIPv4 && address.high & mask.high == network.high && address.low & mask.low == network.low
  }

  /// `10.1` or `10.1.` is the network 10.1.0.0/16.
  private static func ipv4Network(_ text: ByteText) -> (word: UInt64, mask: UInt64)? {
    var digits = text.bytes[...]
    if digits.last == Ascii.dot { digits = digits.dropLast() }
    guard !digits.isEmpty, let octets = IPAddress.octets(digits) else { return nil }
    return (IPAddress.word(octets), mask(of: octets.count * 8, in: 32).low)
  }

  private static func mask(_ text: ByteText, isIPv4: Bool, bits: Int) -> (high: UInt64, low: UInt64)? {
    if isIPv4, text.contains(Ascii.dot) {
      guard let octets = IPAddress.octets(text.bytes[...]), octets.count == 4 else { return nil }
      return (0, IPAddress.word(octets))
    }
    guard text.bytes.allSatisfy(NumberSyntax.isDigit), let count = NumberSyntax.integer(text), count > 0, count <= bits else {
      return nil
    }
    return mask(of: count, in: bits)
  }

  private static func mask(of count: Int, in bits: Int) -> (high: UInt64, low: UInt64) {
    if bits == 32 { return (0, (UInt64.max << UInt64(32 - count)) & 0xFFFF_FFFF) }
    // A shift by 64 or more gives 0, which is what is meant.
    return (count >= 64 ? UInt64.max : UInt64.max << UInt64(64 - count), count <= 64 ? 0 : UInt64.max << UInt64(128 - count))
  }

  public static func == (a: Subnet, b: Subnet) -> Bool {
    a.isIPv4 == b.isIPv4 && a.network == b.network && a.mask == b.mask
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(network.high)
    hasher.combine(network.low)
    hasher.combine(mask.low)
  }
}
