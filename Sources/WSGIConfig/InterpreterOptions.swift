/// What can be said for all interpreters, and for some of them in a `<WSGIInterpreterOptions>` block.
public struct InterpreterSettings: Equatable, Sendable {
  public var pythonPath: ByteText?
  /// Seconds.
  public var switchInterval: Double?
  public var perInterpreterGIL: Bool?
  public var freeThreading: Bool?
  public var restrictStdin: Bool?
  public var restrictStdout: Bool?
  public var restrictSignal: Bool?

  public init() {}
}

/// A `<WSGIInterpreterOptions>` block: settings for the interpreters that its selectors name.
public struct InterpreterOptions: Equatable, Sendable {
  /// nil: any. Empty: embedded mode.
  public var processGroup: [UInt8]?
  /// nil: any. Empty: the main interpreter.
  public var applicationGroup: [UInt8]?
  public var settings = InterpreterSettings()
  public var location: ConfigLocation

  /// The more selectors a block has, the later its word counts; among equals the later block's does.
  public var specificity: Int { (processGroup == nil ? 0 : 1) + (applicationGroup == nil ? 0 : 1) }

  public func matches(processGroup group: [UInt8], applicationGroup name: [UInt8]) -> Bool {
    (processGroup == nil || processGroup == group) && (applicationGroup == nil || applicationGroup == name)
  }
}

extension InterpreterOptions {
  init(selectors arguments: ByteText, location: ConfigLocation) throws(ConfigError) {
    guard let bracket = arguments.bytes.lastIndex(of: Ascii.greater) else {
      throw ConfigError("<WSGIInterpreterOptions> directive missing closing '>'. Write <WSGIInterpreterOptions … >.")
    }
    self.location = location
    var line = ConfigLine(ByteText(arguments.bytes[..<bracket]))
    while true {
      let selector: (name: ByteText, value: ByteText)
      do {
        guard let next = try line.nextSelector() else { break }
        selector = next
      } catch {
        throw ConfigError(
          "<WSGIInterpreterOptions>: argument '\(error.word)' is not of the form key=value. "
            + "Write process-group=NAME or application-group=NAME.")
      }
      try add(selector.name, selector.value)
    }
  }

  private mutating func add(_ key: ByteText, _ value: ByteText) throws(ConfigError) {
    let name = value == "%{GLOBAL}" ? [] : value.bytes
    if key.equalsIgnoringCase("process-group") {
      guard processGroup == nil else { throw InterpreterOptions.repeated("process-group") }
      processGroup = name
    } else if key.equalsIgnoringCase("application-group") {
      guard applicationGroup == nil else { throw InterpreterOptions.repeated("application-group") }
      applicationGroup = name
    } else {
      throw ConfigError("<WSGIInterpreterOptions>: unknown selector '\(key)', expected process-group or application-group.")
    }
  }

  private static func repeated(_ key: String) -> ConfigError {
    ConfigError("<WSGIInterpreterOptions>: \(key) given more than once. A block for another group is a block of its own.")
  }
}
