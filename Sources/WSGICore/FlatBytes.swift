/// Writes the flat encodings that cross between processes and images: unsigned integers in host order and raw bytes.
///
/// The buffer is kept between uses (`reset`), so that a thread which encodes a head per request allocates only while its
/// largest head grows. Not safe to share between threads.
public struct FlatWriter: ~Copyable {
  @usableFromInline var base: UnsafeMutablePointer<UInt8>
  @usableFromInline var capacity: Int
  @usableFromInline var filled: Int
  @inlinable public var count: Int { filled }

  /// Makes a writer with room for `capacity` bytes before it must grow.
  public init(capacity: Int = 4096) {
    base = UnsafeMutablePointer<UInt8>.allocate(capacity: max(capacity, 64))
    self.capacity = max(capacity, 64)
    filled = 0
  }

  deinit { base.deallocate() }

  /// The bytes written so far, valid until the next mutation.
  @inlinable public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  @inlinable public mutating func reset() { filled = 0 }

  /// Drops what stands behind the first `length` bytes.
  public mutating func truncate(to length: Int) { filled = min(count, max(0, length)) }

  /// Makes room for `more` bytes behind what is written.
  @inline(never) @usableFromInline
  mutating func grow(_ more: Int) {
    let wanted = max(capacity * 2, count + more)
    let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: wanted)
    larger.update(from: base, count: count)
    base.deallocate()
    base = larger
    capacity = wanted
  }

  @inlinable @inline(__always)
  mutating func reserve(_ more: Int) {
    if capacity &- filled < more { grow(more) }
  }

  @inlinable public mutating func append(_ value: UInt32) {
    reserve(4)
    UnsafeMutableRawPointer(base + count).storeBytes(of: value, as: UInt32.self)
    filled += 4
  }

  @inlinable public mutating func append(_ value: UInt64) {
    reserve(8)
    UnsafeMutableRawPointer(base + count).storeBytes(of: value, as: UInt64.self)
    filled += 8
  }

  @inlinable public mutating func append(_ value: Int64) { append(UInt64(bitPattern: value)) }

  /// Appends raw bytes.
  @inlinable public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    reserve(bytes.count)
    UnsafeMutableRawPointer(base + count).copyMemory(from: source, byteCount: bytes.count)
    filled += bytes.count
  }

  public mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

  /// Appends a length and the bytes.
  public mutating func appendCounted(_ bytes: UnsafeRawBufferPointer) {
    append(UInt32(clamping: bytes.count))
    append(bytes)
  }

  public mutating func appendCounted(_ text: String) {
    var text = text
    text.withUTF8 { utf8 in appendCounted(UnsafeRawBufferPointer(utf8)) }
  }

  /// Overwrites an integer written earlier, a count or length that is known only afterwards.
  public mutating func patch(_ value: UInt32, at offset: Int) {
    precondition(offset >= 0 && offset <= count - 4, "patch outside what was written")
    UnsafeMutableRawPointer(base + offset).storeBytes(of: value, as: UInt32.self)
  }

  // MARK: pairs

  public mutating func appendPair(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    let target = room(for: key.count, value.count)
    if let source = key.baseAddress { target.copyMemory(from: source, byteCount: key.count) }
    if let source = value.baseAddress { (target + key.count).copyMemory(from: source, byteCount: value.count) }
  }

  /// Writes the lengths of a pair; where its key and value are to stand.
  @inline(__always)
  private mutating func room(for keyCount: Int, _ valueCount: Int) -> UnsafeMutableRawPointer {
    // Both are in memory: their sum is no overflow.
    let size = 8 &+ keyCount &+ valueCount
    reserve(size)
    let target = UnsafeMutableRawPointer(base + filled)
    target.storeBytes(of: UInt32(clamping: keyCount), as: UInt32.self)
    target.storeBytes(of: UInt32(clamping: valueCount), toByteOffset: 4, as: UInt32.self)
    filled &+= size
    return target + 8
  }

  /// A pair without a value (None in Python).
  public mutating func appendPair(nullFor key: UnsafeRawBufferPointer) {
    append(UInt32(clamping: key.count))
    append(flatNull)
    append(key)
  }

  @inlinable public mutating func appendPair(_ key: StaticString, _ value: UnsafeRawBufferPointer) {
    appendPair(UnsafeRawBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount), value)
  }

  /// A pair whose key is written in place: `writeKey` fills all of `keyCount` bytes.
  public mutating func appendPair(
    keyCount: Int, _ value: UnsafeRawBufferPointer, writeKey: (UnsafeMutablePointer<UInt8>) -> Void
  ) {
    let target = room(for: keyCount, value.count)
    writeKey(target.assumingMemoryBound(to: UInt8.self))
    if let source = value.baseAddress { (target + keyCount).copyMemory(from: source, byteCount: value.count) }
  }

  public mutating func appendPair(_ key: String, _ value: String) {
    var key = key
    var value = value
    key.withUTF8 { k in
      value.withUTF8 { v in appendPair(UnsafeRawBufferPointer(k), UnsafeRawBufferPointer(v)) }
    }
  }
}

/// The length that stands for "no value".
public let flatNull: UInt32 = 0xFFFF_FFFF

/// A flat encoding that does not hold what it says it holds.
public enum FlatFailure: Error, Equatable, CustomStringConvertible {
  case truncated
  case badMagic
  case tooMany
  case trailingBytes

  /// A phrase for the log.
  public var description: String {
    switch self {
    case .truncated: "it ends too early"
    case .badMagic: "it does not begin as such data do"
    case .tooMany: "it holds more than is allowed"
    case .trailingBytes: "bytes follow its end"
    }
  }
}

/// Reads a flat encoding; every length is checked against what is there before it is used.
///
/// It borrows the bytes: the owner keeps them alive and unchanged while the reader or a slice from it is in use.
public struct FlatReader {
  public let bytes: UnsafeRawBufferPointer
  @usableFromInline var position = 0
  @inlinable public var offset: Int { position }

  @inlinable public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  @inlinable public var remaining: Int { bytes.count &- position }

  /// The unread rest.
  public var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[offset...]) }

  @inlinable @inline(__always)
  public mutating func readUInt32() throws(FlatFailure) -> UInt32 {
    guard remaining >= 4 else { throw .truncated }
    let value = bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self)
    position &+= 4
    return value
  }

  @inlinable @inline(__always)
  public mutating func readUInt64() throws(FlatFailure) -> UInt64 {
    guard remaining >= 8 else { throw .truncated }
    let value = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    position += 8
    return value
  }

  @inlinable public mutating func readInt64() throws(FlatFailure) -> Int64 { Int64(bitPattern: try readUInt64()) }

  /// The next `count` bytes, as a slice of the input.
  @inlinable @inline(__always)
  public mutating func read(_ count: UInt32) throws(FlatFailure) -> UnsafeRawBufferPointer {
    // What remains is never negative: the position moves by what has been found to be there.
    let count = Int(count)
    guard count <= remaining else { throw .truncated }
    let slice = UnsafeRawBufferPointer(start: bytes.baseAddress.map { $0 + position }, count: count)
    position &+= count
    return slice
  }

  @inlinable public mutating func readCounted() throws(FlatFailure) -> UnsafeRawBufferPointer { try read(try readUInt32()) }

  /// The next pair; a null value is nil.
  @inlinable @inline(__always)
  public mutating func readPair() throws(FlatFailure) -> (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) {
    let keyLength = try readUInt32()
    let valueLength = try readUInt32()
    let key = try read(keyLength)
    return (key, valueLength == flatNull ? nil : try read(valueLength))
  }
}
