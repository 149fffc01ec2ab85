/// A word of the configuration, byte for byte: paths and names need not be UTF-8, and a repaired path is a wrong path.
public struct ByteText: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  public var bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public init(_ slice: ArraySlice<UInt8>) { bytes = [UInt8](slice) }
  public init(_ text: String) { bytes = [UInt8](text.utf8) }
  public init(stringLiteral text: String) { self.init(text) }

  public var isEmpty: Bool { bytes.isEmpty }
  public var count: Int { bytes.count }

  /// For messages; bytes that are not UTF-8 appear as replacement characters.
  public var description: String { String(decoding: bytes, as: UTF8.self) }

  public func hasPrefix(_ prefix: String) -> Bool { bytes.starts(with: prefix.utf8) }

  public func hasSuffix(_ suffix: String) -> Bool { bytes.reversed().starts(with: suffix.utf8.reversed()) }

  public func contains(_ byte: UInt8) -> Bool { bytes.contains(byte) }

  /// Whether `pattern` occurs.
  public func contains(_ pattern: String) -> Bool {
    let wanted = [UInt8](pattern.utf8)
    guard bytes.count >= wanted.count else { return false }
    return (0...(bytes.count - wanted.count)).contains { bytes[$0...].starts(with: wanted) }
  }

  /// ASCII letters compared without regard to case, as httpd compares flags and names.
  public func equalsIgnoringCase(_ other: ByteText) -> Bool {
    bytes.count == other.bytes.count && zip(bytes, other.bytes).allSatisfy { asciiLowercase($0) == asciiLowercase($1) }
  }

  /// The pieces between `separator`s, empty ones included.
  public func split(_ separator: UInt8) -> [ByteText] {
    bytes.split(separator: separator, omittingEmptySubsequences: false).map { ByteText($0) }
  }
}

@inline(__always)
func asciiLowercase(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }

/// White space as C's `isspace` defines it in the C locale.
@inline(__always)
func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }

/// The bytes that configuration syntax gives a meaning to.
enum Ascii {
  static let quote: UInt8 = 0x22
  static let dollar: UInt8 = 0x24
  static let percent: UInt8 = 0x25
  static let apostrophe: UInt8 = 0x27
  static let comma: UInt8 = 0x2C
  static let minus: UInt8 = 0x2D
  static let plus: UInt8 = 0x2B
  static let dot: UInt8 = 0x2E
  static let slash: UInt8 = 0x2F
  static let zero: UInt8 = 0x30
  static let nine: UInt8 = 0x39
  static let colon: UInt8 = 0x3A
  static let equals: UInt8 = 0x3D
  static let greater: UInt8 = 0x3E
  static let hash: UInt8 = 0x23
  static let backslash: UInt8 = 0x5C
  static let bar: UInt8 = 0x7C
}
