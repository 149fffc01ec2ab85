import WSGICore

extension InterpreterOptions {
  init(selectors arguments: ByteText) throws(ConfigError) {
    guard let bracket = arguments.bytes.lastIndex(of: Ascii.greater) else {
      throw ConfigError("<WSGIInterpreterOptions> directive missing closing '>'. Write <WSGIInterpreterOptions … >.")
    }
    self.init()
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
