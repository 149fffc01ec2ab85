import WSGICore

extension InterpreterOptions {
  /// Begins the block whose opening line ends in `arguments`; the closing bracket is still there.
  static func open(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
    guard parse.global.value.openBlock == nil else {
      throw ConfigError("<WSGIInterpreterOptions> cannot be nested. Close the block before with </WSGIInterpreterOptions>.")
    }
    parse.global.value.openBlock = try InterpreterOptions(selectors: line.rest)
  }

  private init(selectors arguments: ByteText) throws(ConfigError) {
    guard let bracket = arguments.bytes.lastIndex(of: Ascii.greater) else {
      throw ConfigError("<WSGIInterpreterOptions> directive missing closing '>'. Write <WSGIInterpreterOptions … >.")
    }
    self.init()
    var line = ConfigLine(ByteText(arguments.bytes[..<bracket]))
    func malformed(_ word: ByteText) -> ConfigError {
      ConfigError(
        "<WSGIInterpreterOptions>: argument '\(word)' is not of the form key=value. "
          + "Write process-group=NAME or application-group=NAME.")
    }
    while let selector = try line.nextSelector(malformed) { try add(selector.name, selector.value) }
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

extension ConfigParse {
  /// Ends the `<WSGIInterpreterOptions>` block that is being read.
  public func closeInterpreterOptions() {
    guard let block = global.value.openBlock else { return }
    global.value.engine.interpreterOptions.append(block)
    global.value.openBlock = nil
  }

  /// Sets something for all interpreters, or for those of the block that is being read.
  func setInterpreter(_ change: (inout InterpreterSettings) -> Void) {
    if var block = global.value.openBlock {
      change(&block.settings)
      global.value.openBlock = block
    } else {
      change(&global.value.engine.interpreter)
    }
  }
}
