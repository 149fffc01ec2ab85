import WSGICore

/// Pairs under construction: `u32 count` and then the pairs, as engine.h describes them.
public struct PairList: ~Copyable {
  private var writer = FlatWriter(capacity: 1024)
  private var count: UInt32 = 0

  public init() { writer.append(UInt32(0)) }

  public mutating func add(_ key: String, _ value: [UInt8]) {
    let key = Array(key.utf8)
    key.withUnsafeBytes { k in value.withUnsafeBytes { v in writer.appendPair(k, v) } }
    count &+= 1
  }

  mutating func add(_ key: String, number: Int64) { add(key, Array("\(number)".utf8)) }

  mutating func add(_ key: String, optional value: [UInt8]?) {
    if let value { add(key, value) }
  }

  mutating func add(_ key: String, flag: Bool) {
    if flag { add(key, [0x31]) }
  }

  public consuming func encoded() -> [UInt8] {
    writer.patch(count, at: 0)
    return Array(writer.bytes)
  }

  /// The pairs of an encoded list; values that are absent come as empty.
  static func pairs(of bytes: [UInt8]) throws(FlatFailure) -> [(key: [UInt8], value: [UInt8])] {
    var result: [(key: [UInt8], value: [UInt8])] = []
    let failure: FlatFailure? = bytes.withUnsafeBytes { raw in
      var reader = FlatReader(raw)
      do throws(FlatFailure) {
        let count = try reader.readUInt32()
        for _ in 0..<count {
          let pair = try reader.readPair()
          result.append((Array(pair.key), pair.value.map { Array($0) } ?? []))
        }
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
    return result
  }

  /// `encoded` with further pairs behind it.
  static func appending(_ more: [(key: String, value: [UInt8])], to encoded: [UInt8]) throws(FlatFailure) -> [UInt8] {
    var list = PairList()
    let old = try pairs(of: encoded)
    for (key, value) in old { list.add(String(decoding: key, as: UTF8.self), value) }
    for (key, value) in more { list.add(key, value) }
    return list.encoded()
  }
}
