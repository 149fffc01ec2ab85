/// The cookie that says with which process slot of a group a session stays: `SLOT.CODE`, where the code is the server's own
/// (`SessionKey`) of group and slot.
///
/// Whoever holds such a cookie can choose no other slot, and no slot of another group. One that is forged, of another group or
/// of an earlier start of httpd is as none.
public struct SessionCookie: Sendable {
  public let name: [UInt8]
  /// The values of all slots.
  public let values: [[UInt8]]

  /// Hexadecimal digits of the code: 128 bits of it.
  private static let codeLength = 32

  public init(name: [UInt8], group: [UInt8], slots: Int, key: SessionKey) {
    self.name = name
    values = (0..<max(slots, 0)).map { slot in
      // Neither name nor number can hold a NUL, so that no two pairs of them make one message.
      let code = key.code(of: Array("sticky-cookie\0".utf8) + group + [0] + Array(slot.description.utf8))
      return Array(slot.description.utf8) + [0x2E] + SessionCookie.hexadecimal(code.prefix(SessionCookie.codeLength / 2))
    }
  }

  private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    let digits = Array("0123456789abcdef".utf8)
    return bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
  }

  /// The slot that a value names; nil: this server did not set it for the group.
  public func slot(of value: UnsafeRawBufferPointer) -> Int? {
    guard SessionCookie.isWellFormed(value) else { return nil }
    var slot = 0
    for byte in value.prefix(while: { $0 != 0x2E }) { slot = slot * 10 + Int(byte - 0x30) }
    guard values.indices.contains(slot), values[slot].count == value.count else { return nil }
    // How many bytes agree must not be told by the time that it takes.
    var difference: UInt8 = 0
    for (mine, given) in zip(values[slot], value) { difference |= mine ^ given }
    return difference == 0 ? slot : nil
  }

  /// One to three decimal digits, a full stop and the digits of a code.
  private static func isWellFormed(_ value: UnsafeRawBufferPointer) -> Bool {
    let digits = value.prefix { $0 >= 0x30 && $0 <= 0x39 }.count
    guard (1...3).contains(digits), value.count == digits + 1 + codeLength, value[digits] == 0x2E else { return false }
    return value.dropFirst(digits + 1).allSatisfy { $0 >= 0x30 && $0 <= 0x39 || $0 >= 0x61 && $0 <= 0x66 }
  }

  // MARK: the request's header

  /// A Cookie header as the application is to see it.
  public struct Rest: Equatable, Sendable {
    /// The first slot that the header validly names.
    public var slot: Int?
    /// All of it but this cookie, byte by byte; nil: the cookie is not there, and nothing is to be changed.
    public var bytes: [UInt8]?
  }

  /// Takes the cookie out of a Cookie header, as often as it is there. httpd makes one header of several, with commas between
  /// them; but a cookie may hold commas, too, so that behind one there is only this cookie if it looks like it in all.
  public func take(from header: UnsafeRawBufferPointer) -> Rest {
    var rest = Rest()
    var kept: [UInt8] = []
    var separator = 0..<0
    var start = header.prefix(while: isSpace).count
    func keep(_ item: Range<Int>) {
      if !kept.isEmpty { kept += header[separator] }
      kept += header[item]
    }
    while start <= header.count {
      let end = header[start...].firstIndex(of: 0x3B) ?? header.count
      while true {
        let item = start..<end
        if let own = find(in: header, item, isFirst: true) {
          rest.slot = rest.slot ?? slot(of: UnsafeRawBufferPointer(rebasing: header[own.value]))
          rest.bytes = []
          start = own.end
        } else if let comma = nextHeader(in: header, item) {
          keep(start..<comma)
          start = comma
        } else {
          keep(item)
          break
        }
        guard start < end else { break }
        separator = start..<start + 2
        start += 2
      }
      start = end
      repeat { start += 1 } while start < header.count && isSpace(header[start])
      separator = end..<min(start, header.count)
    }
    guard rest.bytes != nil else { return rest }
    rest.bytes = kept.allSatisfy { isSpace($0) || $0 == 0x3B } ? [] : kept
    return rest
  }

  /// This cookie at the beginning of a part of the header: its value, and where the rest begins, at a comma or the part's end.
  private func find(
    in header: UnsafeRawBufferPointer, _ part: Range<Int>, isFirst: Bool
  ) -> (value: Range<Int>, end: Int)? {
    guard header[part].starts(with: name) else { return nil }
    var start = part.lowerBound + name.count
    while start < part.upperBound, isSpace(header[start]) { start += 1 }
    guard start < part.upperBound, header[start] == 0x3D else { return nil }
    start += 1
    while start < part.upperBound, isSpace(header[start]) { start += 1 }
    let value = start..<(header[start..<part.upperBound].firstIndex { $0 == 0x2C || isSpace($0) } ?? part.upperBound)
    if SessionCookie.isWellFormed(UnsafeRawBufferPointer(rebasing: header[value])) {
      if isComma(header, value.upperBound, before: part.upperBound) { return (value, value.upperBound) }
      if header[value.upperBound..<part.upperBound].allSatisfy(isSpace) { return (value, part.upperBound) }
    }
    return isFirst ? (value, part.upperBound) : nil
  }

  /// The comma before the next header in a part, where that begins with this cookie.
  private func nextHeader(in header: UnsafeRawBufferPointer, _ part: Range<Int>) -> Int? {
    part.first { comma in
      isComma(header, comma, before: part.upperBound)
        && find(in: header, comma + 2..<part.upperBound, isFirst: false) != nil
    }
  }

  private func isComma(_ header: UnsafeRawBufferPointer, _ index: Int, before end: Int) -> Bool {
    index + 2 <= end && header[index] == 0x2C && header[index + 1] == 0x20
  }

  private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}
