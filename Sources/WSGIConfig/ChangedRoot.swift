import WSGICore

/// `chroot=`: a path that is given from outside leads a process to the same file from inside once the root's own is left off.
public struct ChangedRoot: Sendable {
  /// Without slashes at its end: empty for `/`.
  public let path: [UInt8]

  init(_ path: ByteText) {
    let end = path.bytes.lastIndex { $0 != Ascii.slash }
    self.path = end.map { [UInt8](path.bytes[...$0]) } ?? []
  }

  /// The length of the prefix to remove; nil: the path leads to a place that cannot be seen from inside.
  @inline(__always)
  public func prefixLength(of outside: Span<UInt8>) -> Int? {
    let count = path.count
    guard outside.count > count, outside[count] == Ascii.slash else { return nil }
    for index in 0..<count where outside[index] != path[index] { return nil }
    return count
  }

  /// The path as it is inside; one that is not below the root is taken to be that already.
  public func inside(_ path: [UInt8]) -> [UInt8] { prefixLength(of: path.span).map { [UInt8](path[$0...]) } ?? path }

  /// The path as it is outside.
  public func outside(_ inside: ByteText) -> ByteText { ByteText(path + inside.bytes) }
}

extension GroupConfig {
  public var changedRoot: ChangedRoot? { settings.changeRoot.map { ChangedRoot(ByteText($0)) } }
}
