/// Questions about eight bytes at a time: names and values of headers are looked at on both sides of a process's border, with
/// every response. The usual answer is yes; on any other, who asks looks at each byte.
enum EightBytes {
  private static let ones: UInt64 = 0x0101_0101_0101_0101
  private static let tops: UInt64 = 0x8080_8080_8080_8080

  @inline(__always)
  private static func each(_ byte: UInt8) -> UInt64 { ones &* UInt64(byte) }

  /// Whether `test` says yes to all of the bytes; false where they are fewer than eight.
  @inline(__always)
  static func cover(_ bytes: UnsafeRawBufferPointer, _ test: (UInt64) -> Bool) -> Bool {
    guard bytes.count >= 8, let base = bytes.baseAddress else { return false }
    let last = bytes.count &- 8
    var offset = 0
    while offset < last {
      guard test(base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) else { return false }
      offset &+= 8
    }
    // The last eight, some of them for the second time.
    return test(base.loadUnaligned(fromByteOffset: last, as: UInt64.self))
  }

  /// The same for two runs of the same length; nil where they are shorter than eight bytes.
  @inline(__always)
  static func cover(
    _ bytes: UnsafeRawBufferPointer, _ others: UnsafeRawBufferPointer, _ test: (UInt64, UInt64) -> Bool
  ) -> Bool? {
    guard bytes.count >= 8, bytes.count == others.count, let base = bytes.baseAddress, let other = others.baseAddress else {
      return nil
    }
    let last = bytes.count &- 8
    var offset = 0
    while offset < last {
      guard
        test(
          base.loadUnaligned(fromByteOffset: offset, as: UInt64.self),
          other.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      else { return false }
      offset &+= 8
    }
    return test(
      base.loadUnaligned(fromByteOffset: last, as: UInt64.self), other.loadUnaligned(fromByteOffset: last, as: UInt64.self))
  }

  /// Letters of ASCII and hyphens, nothing else.
  @inline(__always)
  static func areLettersAndHyphens(_ bytes: UInt64) -> Bool {
    let folded = bytes | each(0x20)
    // With all top bits clear, no addition below carries into the next byte, and no subtraction borrows from it.
    guard bytes & tops == 0 else { return false }
    let fromA = folded &+ each(0x80 - 0x61)
    let beyondZ = folded &+ each(0x80 - 0x7B)
    let hyphens = tops &- (bytes ^ each(0x2D))
    return (fromA & ~beyondZ | hyphens) & tops == tops
  }

  /// No byte below a space, and no DEL.
  @inline(__always)
  static func haveNoControlCharacters(_ bytes: UInt64) -> Bool {
    let deletes = bytes ^ each(0x7F)
    return ((bytes &- each(0x20)) & ~bytes | (deletes &- ones) & ~deletes) & tops == 0
  }

  /// The same letters, in upper or lower case, and the same hyphens; `wanted` is in lower case.
  @inline(__always)
  static func areSameLetters(_ bytes: UInt64, _ wanted: UInt64) -> Bool {
    // Of letters the bit that tells the cases apart does not count.
    bytes | (wanted & each(0x40)) >> 1 == wanted
  }
}
