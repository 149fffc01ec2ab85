/// The path of a script as httpd's children and supervisors tell each other in shared memory: absolute, without NULs, not too
/// long.
public struct ScriptPath: Hashable, Sendable {
  public static let limit = 1024

  public let bytes: [UInt8]

  /// nil: the bytes are not such a path.
  public init?(_ bytes: some Collection<UInt8>) {
    guard (2...ScriptPath.limit).contains(bytes.count), bytes.first == UInt8(ascii: "/"), !bytes.contains(0) else { return nil }
    self.bytes = Array(bytes)
  }

  /// The bytes in words of shared memory.
  public var words: [UInt64] { SharedText.words(bytes, count: (bytes.count + 7) / 8) }

  /// Reads what `words` wrote, which may be anything by now.
  public init?(length: UInt64, word: (Int) -> UInt64) {
    guard length <= UInt64(ScriptPath.limit) else { return nil }
    self.init(SharedText.bytes(length: length, limit: ScriptPath.limit, word: word))
  }
}

/// Bytes in 64-bit words of shared memory.
enum SharedText {
  static func words(_ bytes: [UInt8], count: Int) -> [UInt64] {
    var words = [UInt64](repeating: 0, count: count)
    for (index, byte) in bytes.enumerated() { words[index / 8] |= UInt64(byte) << (8 * UInt64(index % 8)) }
    return words
  }

  /// As many as `length` says, `limit` at most. Each word is read once for each of its bytes.
  static func bytes(length: UInt64, limit: Int, word: (Int) -> UInt64) -> [UInt8] {
    (0..<Int(clamping: min(length, UInt64(limit)))).map { UInt8(truncatingIfNeeded: word($0 / 8) >> (8 * UInt64($0 % 8))) }
  }
}
