import CPython

/// The pairs of one request's environ, borrowed: `encoded` as engine.h says of pairs, without their count, and some more.
public struct EnvironPairs {
  /// A nil value is None.
  public typealias Pair = (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?)

  let encoded: UnsafeRawBufferPointer
  let encodedCount: Int
  let further: UnsafeBufferPointer<Pair>

  /// `count` is how many pairs `encoded` says that it holds.
  public init(_ encoded: UnsafeRawBufferPointer, count: Int, further: UnsafeBufferPointer<Pair>) {
    self.encoded = encoded
    encodedCount = count
    self.further = further
  }

  var count: Int { encodedCount + further.count }

  /// Two lengths stand before a key.
  static let header = 8
  private static let null: UInt32 = 0xFFFF_FFFF

  /// Writes a pair in its encoding; there is room for it.
  static func encode(_ pair: Pair, to target: UnsafeMutableRawPointer) {
    target.storeBytes(of: UInt32(clamping: pair.key.count), as: UInt32.self)
    target.storeBytes(of: pair.value.map { UInt32(clamping: $0.count) } ?? null, toByteOffset: 4, as: UInt32.self)
    if let base = pair.key.baseAddress { (target + header).copyMemory(from: base, byteCount: pair.key.count) }
    guard let value = pair.value, let base = value.baseAddress else { return }
    (target + header + pair.key.count).copyMemory(from: base, byteCount: value.count)
  }

  /// A hash of the sequence of keys; nil: the encoding is not well-formed.
  func keyHash() -> UInt64? {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    var cursor = cursor
    for _ in 0..<count {
      guard let key = cursor.next()?.key else { return nil }
      hash = (hash ^ UInt64(truncatingIfNeeded: key.count)) &* 0x100_0000_01b3
      for byte in key { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }
    return hash
  }

  var cursor: Cursor { Cursor(pairs: self) }

  /// Reads the pairs in order.
  struct Cursor {
    private let pairs: EnvironPairs
    private var offset = 0
    private var index = 0

    fileprivate init(pairs: EnvironPairs) { self.pairs = pairs }

    /// Passes over the next pair if its encoding is this one.
    @inline(__always)
    mutating func skip(_ known: UnsafeMutableRawPointer, _ length: Int) -> Bool {
      guard index < pairs.encodedCount else { return skipFurther(known, length) }
      guard length <= pairs.encoded.count &- offset, let base = pairs.encoded.baseAddress,
        memcmp(base + offset, known, length) == 0
      else { return false }
      offset &+= length
      index &+= 1
      return true
    }

    private mutating func skipFurther(_ known: UnsafeMutableRawPointer, _ length: Int) -> Bool {
      let place = index &- pairs.encodedCount
      guard place < pairs.further.count, let value = pairs.further[place].value else { return false }
      let key = pairs.further[place].key
      guard length == EnvironPairs.header &+ key.count &+ value.count,
        known.load(fromByteOffset: 4, as: UInt32.self) == UInt32(clamping: value.count),
        EnvironPairs.equal(key, known + EnvironPairs.header),
        EnvironPairs.equal(value, known + EnvironPairs.header + key.count)
      else { return false }
      index &+= 1
      return true
    }

    /// The next pair; nil at the end, or where the bytes are not a pair.
    mutating func next() -> Pair? {
      if index >= pairs.encodedCount {
        let place = index &- pairs.encodedCount
        guard place < pairs.further.count else { return nil }
        index &+= 1
        return pairs.further[place]
      }
      let bytes = pairs.encoded
      guard bytes.count &- offset >= EnvironPairs.header else { return nil }
      let keyCount = Int(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      let number = bytes.loadUnaligned(fromByteOffset: offset &+ 4, as: UInt32.self)
      let valueCount = number == EnvironPairs.null ? 0 : Int(number)
      let start = offset &+ EnvironPairs.header
      guard keyCount &+ valueCount <= bytes.count &- start else { return nil }
      let middle = start &+ keyCount
      offset = middle &+ valueCount
      index &+= 1
      let key = UnsafeRawBufferPointer(rebasing: bytes[start..<middle])
      return (key, number == EnvironPairs.null ? nil : UnsafeRawBufferPointer(rebasing: bytes[middle..<offset]))
    }
  }

  private static func equal(_ bytes: UnsafeRawBufferPointer, _ known: UnsafeMutableRawPointer) -> Bool {
    guard let base = bytes.baseAddress else { return true }
    return memcmp(base, known, bytes.count) == 0
  }
}
