/// A row of a table of settings: one thing that a process is told, under which key, and where it is kept.
///
/// The row is all that a setting needs to travel: `SettingsTable` writes and reads the pairs, and WSGIDaemonProcess takes its
/// options from rows that have an `option`.
public struct Setting<Values: SettingsTable>: Sendable {
  public let key: StaticString
  /// How an administrator writes it, where it is an option of WSGIDaemonProcess.
  public let option: OptionForm?
  /// The value that goes without saying, as a pair would hold it.
  public let standard: [UInt8]
  /// A value for each pair; none where it is the standard.
  let values: @Sendable (Values) -> [[UInt8]]
  /// Takes over what a pair holds, or nil for the standard; false: it is not a value of this setting.
  public let set: @Sendable (inout Values, [UInt8]?) -> Bool
  /// Takes what others have, where nothing was set.
  let inherit: @Sendable (inout Values, Values) -> Void
}

extension Setting {
  public init<Value: SettingValue>(
    _ key: StaticString, _ path: any WritableKeyPath<Values, Value> & Sendable, _ option: OptionForm? = nil
  ) {
    let standard = Values()[keyPath: path]
    self.init(
      key, path, standard, standard.settingBytes, option, values: { $0 == standard ? [] : [$0.settingBytes] },
      set: { (place, bytes) in
        guard let value = bytes.map(Value.init(settingBytes:)) ?? standard else { return false }
        place = value
        return true
      })
  }

  /// A setting of which there may be several, in order.
  public static func list<Value: SettingValue>(
    _ key: StaticString, _ path: any WritableKeyPath<Values, [Value]> & Sendable
  ) -> Setting {
    Setting(
      key, path, [], [], nil, values: { $0.map(\.settingBytes) },
      set: { (place, bytes) in
        guard let value = bytes.flatMap(Value.init(settingBytes:)) else { return false }
        place.append(value)
        return true
      })
  }

  private init<Place: Equatable & Sendable>(
    _ key: StaticString, _ path: any WritableKeyPath<Values, Place> & Sendable, _ standard: Place, _ bytes: [UInt8],
    _ option: OptionForm?, values: @escaping @Sendable (Place) -> [[UInt8]],
    set: @escaping @Sendable (inout Place, [UInt8]?) -> Bool
  ) {
    self.init(
      key: key, option: option, standard: bytes, values: { values($0[keyPath: path]) }, set: { set(&$0[keyPath: path], $1) },
      inherit: { if $0[keyPath: path] == standard { $0[keyPath: path] = $1[keyPath: path] } })
  }

  /// The row of a table whose values are part of others.
  func within<Whole>(_ path: any WritableKeyPath<Whole, Values> & Sendable) -> Setting<Whole> {
    Setting<Whole>(
      key: key, option: option, standard: standard, values: { values($0[keyPath: path]) },
      set: { set(&$0[keyPath: path], $1) }, inherit: { inherit(&$0[keyPath: path], $1[keyPath: path]) })
  }
}

/// Values that travel between processes and images as pairs: `u32 count`, then the pairs, as engine.h describes them. A value
/// that is the standard one is left out, so that both sides must agree on the standards: see `ControlMessage.version` and
/// WSGI_ENGINE_ABI.
public protocol SettingsTable: SettingValue {
  init()
  static var rows: [Setting<Self>] { get }
}

extension SettingsTable {
  public func encoded() -> [UInt8] {
    var writer = FlatWriter(capacity: 1024)
    var count: UInt32 = 0
    writer.append(count)
    for row in Self.rows {
      for value in row.values(self) {
        value.withUnsafeBytes { writer.appendPair(row.key, $0) }
        count &+= 1
      }
    }
    writer.patch(count, at: 0)
    return Array(writer.bytes)
  }

  /// Reads settings. Keys without a row are passed over, since a worker's settings and its engine's are one list; a value that
  /// is not one of its setting is a failure, since a limit that silently does not hold would be worse than no process.
  public init?(decoding bytes: [UInt8]) {
    self.init()
    var isWhole = true
    bytes.withUnsafeBytes { raw in
      do throws(FlatFailure) {
        var reader = FlatReader(raw)
        for _ in 0..<(try reader.readUInt32()) {
          let pair = try reader.readPair()
          guard let row = Self.rows.first(where: { $0.key == pair.key }) else { continue }
          if !row.set(&self, pair.value.map { Array($0) } ?? []) { isWhole = false }
        }
      } catch {
        isWhole = false
      }
    }
    guard isWhole else { return nil }
  }

  public var settingBytes: [UInt8] { encoded() }
  public init?(settingBytes bytes: [UInt8]) { self.init(decoding: bytes) }

  /// The values other than the standard ones, for a reader that knows only keys.
  public var texts: [(key: String, value: String)] {
    Self.rows.flatMap { row in row.values(self).map { (row.key.description, $0.text) } }
  }
}

extension StaticString {
  fileprivate static func == (key: StaticString, bytes: UnsafeRawBufferPointer) -> Bool {
    UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount).elementsEqual(bytes)
  }
}

/// How an administrator writes an option of WSGIDaemonProcess.
public struct OptionForm: Sendable {
  public enum Syntax: Sendable {
    /// Any text, the empty one included, which stands for none.
    case text
    /// An absolute path.
    case path
    /// `On` or `Off`.
    case flag
    /// A number of seconds above 0, kept as it is.
    case seconds
    /// A time, kept in milliseconds; a plain number is in seconds.
    case time
    case number(ClosedRange<Int>)
    /// Bytes, at least `minimum`.
    case size(minimum: Int)
  }

  public let syntax: Syntax
  /// The value's name in messages.
  public let thing: String
  /// The default in the documentation; nil: the standard value.
  public let defaultValue: String?
  /// The reference module does not have it.
  public let isAddition: Bool

  public init(_ syntax: Syntax, _ thing: String = "", default defaultValue: String? = nil, isAddition: Bool = false) {
    self.syntax = syntax
    self.thing = thing
    self.defaultValue = defaultValue
    self.isAddition = isAddition
  }
}
