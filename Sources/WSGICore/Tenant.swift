/// A process group that is made from a WSGIDaemonTemplate when a request needs it.
public struct Tenant: Hashable, Sendable {
  public var key: TenantKey
  /// The owner of the script that it was made for. Its processes run as this user where the template says `user=%{OWNER}`.
  public var user: UInt32

  public init(key: TenantKey, user: UInt32) {
    self.key = key
    self.user = user
  }
}

/// The part of a group's name that a template's `key=` yields: 1 to 64 letters, digits and `._@-`, no `.` or `-` first. It may
/// become a directory's name.
public struct TenantKey: Hashable, Sendable {
  public static let limit = 64

  public let bytes: [UInt8]

  /// nil: the bytes are not a key.
  public init?(_ bytes: some Collection<UInt8>) {
    guard (1...TenantKey.limit).contains(bytes.count), bytes.allSatisfy(TenantKey.allows), let first = bytes.first,
      first != UInt8(ascii: "."), first != UInt8(ascii: "-")
    else { return nil }
    self.bytes = Array(bytes)
  }

  /// The bytes in words of shared memory, NULs behind them.
  public var words: [UInt64] { SharedText.words(bytes, count: TenantKey.limit / 8) }

  /// Reads what `words` wrote, which may be anything by now.
  public init?(length: UInt64, word: (Int) -> UInt64) {
    self.init(SharedText.bytes(length: length, limit: TenantKey.limit, word: word))
  }

  public static func allows(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "@"), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}
