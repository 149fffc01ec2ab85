/// What may stand in a header, as HTTP says and httpd demands.
public enum HeaderSyntax {
  /// A header's name: at least one byte, letters, digits and some signs.
  public static func isToken(_ name: UnsafeRawBufferPointer) -> Bool {
    !name.isEmpty && name.allSatisfy(isTokenByte)
  }

  /// A header's value or a reason phrase: no control characters but tabs.
  public static func isFieldContent(_ value: UnsafeRawBufferPointer) -> Bool {
    value.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
  }

  /// Whether a name is `other`, which is written in lower case.
  @inline(__always)
  public static func equals(_ name: UnsafeRawBufferPointer, _ other: StaticString) -> Bool {
    guard name.count == other.utf8CodeUnitCount else { return false }
    let wanted = other.utf8Start
    for index in 0..<name.count {
      let byte = name[index]
      guard (byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte) == wanted[index] else { return false }
    }
    return true
  }

  private static func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
    default: false
    }
  }
}
