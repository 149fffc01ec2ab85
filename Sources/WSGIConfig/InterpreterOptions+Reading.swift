import WSGICore

extension InterpreterOptions {
  /// Begins the block whose opening line ends in `arguments`; the closing bracket is still there.
  static func open(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
    guard parse.global.value.openBlock == nil else {
      throw ConfigError("<WSGIInterpreterOptions> cannot be nested. Close the block before with </WSGIInterpreterOptions>.")
    }
    parse.global.value.openBlock = try InterpreterOptions(selectors: line.rest)
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
    if global.value.openBlock != nil {
      if var block = global.value.openBlock {
        change(&block.settings)
        global.value.openBlock = block
      }
    } else {
      change(&global.value.engine.interpreter)
    }
  }
}
