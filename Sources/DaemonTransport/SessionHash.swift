/// Chooses a process slot for a value by rendezvous hashing: of the slots that serve, the one that weighs most for it. A slot
/// that goes takes along the values that it had, and no other value moves; when it comes back, those return.
public struct SessionHash: Sendable {
  private let value: UInt64

  /// FNV-1a. A client that knows it can choose a slot, as it can by trying values.
  public init(_ bytes: UnsafeRawBufferPointer) {
    value = bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  /// The last steps of SplitMix64, which make of neighbouring numbers unrelated ones.
  public func weight(of slot: Int) -> UInt64 {
    var word = value &+ UInt64(truncatingIfNeeded: slot &+ 1) &* 0x9E37_79B9_7F4A_7C15
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}
