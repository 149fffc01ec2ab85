/// The value of a setting: numbers are decimal, flags are `1` or `0`, texts are bytes.
public protocol SettingValue: Equatable, Sendable {
  var settingBytes: [UInt8] { get }
  /// nil: the bytes are not such a value.
  init?(settingBytes bytes: [UInt8])
}

extension [UInt8] {
  /// For messages, and for those who take text only; bytes that are not UTF-8 appear as replacement characters.
  public var text: String { String(decoding: self, as: UTF8.self) }
}

extension [UInt8]: SettingValue {
  public var settingBytes: [UInt8] { self }
  public init?(settingBytes bytes: [UInt8]) { self = bytes }
}

/// `nil` is the standard wherever there may be none, and so is never written.
extension Optional: SettingValue where Wrapped: SettingValue {
  public var settingBytes: [UInt8] { self?.settingBytes ?? [] }
  public init?(settingBytes bytes: [UInt8]) {
    guard let value = Wrapped(settingBytes: bytes) else { return nil }
    self = .some(value)
  }
}

extension Bool: SettingValue {
  public var settingBytes: [UInt8] { [self ? 0x31 : 0x30] }
  public init?(settingBytes bytes: [UInt8]) {
    guard bytes == [0x30] || bytes == [0x31] else { return nil }
    self = bytes == [0x31]
  }
}

extension SettingValue where Self: FixedWidthInteger {
  public var settingBytes: [UInt8] { Array(description.utf8) }
  public init?(settingBytes bytes: [UInt8]) { self.init(bytes.text) }
}

extension Int: SettingValue {}
extension Int32: SettingValue {}
extension Int64: SettingValue {}
extension UInt32: SettingValue {}
extension UInt64: SettingValue {}

extension Double: SettingValue {
  public var settingBytes: [UInt8] { Array(description.utf8) }
  public init?(settingBytes bytes: [UInt8]) {
    guard let number = Double(bytes.text), number.isFinite else { return nil }
    self = number
  }
}

/// Text for people and files, which is UTF-8.
extension String: SettingValue {
  public var settingBytes: [UInt8] { Array(utf8) }
  public init?(settingBytes bytes: [UInt8]) { self = bytes.text }
}

extension LogLevel: SettingValue {
  public var settingBytes: [UInt8] { rawValue.settingBytes }
  public init?(settingBytes bytes: [UInt8]) {
    guard let number = Int32(settingBytes: bytes) else { return nil }
    self.init(clamping: number)
  }
}

extension PythonVersion: SettingValue {
  public var settingBytes: [UInt8] { Array(description.utf8) }
  public init?(settingBytes bytes: [UInt8]) { self.init(bytes.text) }
}

extension ScriptOwner: SettingValue {
  public var settingBytes: [UInt8] { Array(text.utf8) }
  public init?(settingBytes bytes: [UInt8]) { self.init(bytes.text) }
}

/// WSGIPythonHashSeed.
public enum HashSeed: SettingValue {
  case random
  case fixed(UInt32)

  public var settingBytes: [UInt8] {
    switch self {
    case .random: Array("random".utf8)
    case .fixed(let seed): seed.settingBytes
    }
  }

  public init?(settingBytes bytes: [UInt8]) {
    if bytes == Array("random".utf8) {
      self = .random
    } else {
      guard let seed = UInt32(settingBytes: bytes) else { return nil }
      self = .fixed(seed)
    }
  }
}

/// Flags of WSGITelemetryOptions.
public struct TelemetryOptions: OptionSet, SettingValue {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static let captureUserAgent = TelemetryOptions(rawValue: 1)
  public static let all: TelemetryOptions = [.captureUserAgent]

  public var settingBytes: [UInt8] { rawValue.settingBytes }
  public init?(settingBytes bytes: [UInt8]) {
    guard let bits = UInt32(settingBytes: bytes) else { return nil }
    self.init(rawValue: bits)
  }
}
