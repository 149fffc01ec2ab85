/// One telemetry datagram, as `mod_wsgi-telemetry` reads it: a header, then fields of an id, a type and a value, all in
/// little-endian order. It never grows beyond `limit`: a field that does not fit is left out.
struct Datagram {
  enum Kind: UInt8 {
    case requestMetrics = 2
    case slowRequest = 4
    case processStarted = 5
    case processStopping = 6
    case processStopped = 7
    case collectorSnapshot = 8
    case collectorEvent = 9
  }

  private enum FieldType: UInt8 {
    case unsigned = 1
    case float = 2
    case bytes = 4
    case integers = 5
    case floats = 6
  }

  static let limit = 8192
  static let headerCount = 24

  private(set) var bytes: [UInt8] = []

  /// `timestamp`: seconds since the epoch.
  init(_ kind: Kind, process: UInt32, sequence: UInt32, timestamp: Double) {
    bytes.reserveCapacity(512)
    bytes.append(contentsOf: "WSGI".utf8)
    bytes.append(1)
    bytes.append(kind.rawValue)
    append(UInt16(0))
    append(process)
    append(sequence)
    append(timestamp.bitPattern)
  }

  // MARK: fields

  mutating func set(_ id: UInt16, _ value: UInt64) {
    guard begin(id, .unsigned, 8) else { return }
    append(value)
  }

  mutating func set(_ id: UInt16, _ value: Int) { set(id, UInt64(clamping: value)) }

  mutating func set(_ id: UInt16, _ value: Double) {
    guard begin(id, .float, 8) else { return }
    append(value.bitPattern)
  }

  /// Nanoseconds, as seconds.
  mutating func set(_ id: UInt16, nanoseconds: UInt64) { set(id, Double(nanoseconds) / 1e9) }

  mutating func set(_ id: UInt16, _ value: some Collection<UInt8>) {
    let value = value.prefix(Int(UInt16.max))
    guard begin(id, .bytes, 2 + value.count) else { return }
    append(UInt16(clamping: value.count))
    bytes.append(contentsOf: value)
  }

  mutating func set(_ id: UInt16, _ text: String) { set(id, text.utf8) }

  /// The same, where there is something to say.
  mutating func set(_ id: UInt16, ifAny value: some Collection<UInt8>) { if !value.isEmpty { set(id, value) } }

  /// Counts, as 32-bit integers.
  mutating func set(_ id: UInt16, _ values: [UInt64]) {
    guard values.count <= Int(UInt16.max), begin(id, .integers, 2 + 4 * values.count) else { return }
    append(UInt16(values.count))
    for value in values { append(UInt32(bitPattern: Int32(clamping: value))) }
  }

  mutating func set(_ id: UInt16, _ values: [Double]) {
    guard values.count <= Int(UInt16.max), begin(id, .floats, 2 + 8 * values.count) else { return }
    append(UInt16(values.count))
    for value in values { append(value.bitPattern) }
  }

  private mutating func begin(_ id: UInt16, _ type: FieldType, _ count: Int) -> Bool {
    guard bytes.count + 3 + count <= Datagram.limit else { return false }
    append(id)
    bytes.append(type.rawValue)
    return true
  }

  private mutating func append(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }
}
