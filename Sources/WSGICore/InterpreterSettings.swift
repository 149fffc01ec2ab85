/// Settings that can be made for all interpreters, and for some of them in a `<WSGIInterpreterOptions>` block.
public struct InterpreterSettings: SettingsTable {
  /// Directories for site.addsitedir, separated by `:`.
  public var pythonPath: [UInt8]?
  /// Seconds.
  public var switchInterval: Double?
  public var perInterpreterGIL: Bool?
  public var freeThreading: Bool?
  public var restrictStdin: Bool?
  public var restrictStdout: Bool?
  public var restrictSignal: Bool?

  public init() {}

  public static let rows = [path] + shared

  /// Each process group has its own.
  static let path = Setting<InterpreterSettings>("python-path", \.pythonPath, OptionForm(.text))

  static let shared: [Setting<InterpreterSettings>] = [
    Setting("switch-interval", \.switchInterval, OptionForm(.seconds, "switch interval", default: "Python's")),
    Setting("per-interpreter-gil", \.perInterpreterGIL),
    Setting("free-threading", \.freeThreading),
    Setting("restrict-stdin", \.restrictStdin),
    Setting("restrict-stdout", \.restrictStdout),
    Setting("restrict-signal", \.restrictSignal),
  ]
}

/// A `<WSGIInterpreterOptions>` block: settings for the interpreters that its selectors name.
public struct InterpreterOptions: SettingsTable {
  /// nil: any. Empty: embedded mode.
  public var processGroup: [UInt8]?
  /// nil: any. Empty: the main interpreter.
  public var applicationGroup: [UInt8]?
  public var settings = InterpreterSettings()

  public init() {}

  public static let rows: [Setting<InterpreterOptions>] =
    [Setting("process-group", \.processGroup), Setting("application-group", \.applicationGroup)]
    + InterpreterSettings.rows.map { $0.within(\.settings) }

  /// The more selectors a block has, the later its word counts; among equals the later block's does.
  public var specificity: Int { (processGroup == nil ? 0 : 1) + (applicationGroup == nil ? 0 : 1) }

  public func applies(to group: [UInt8]) -> Bool { processGroup == nil || processGroup == group }
}

extension EngineSettings {
  /// The blocks that match an interpreter, the most specific last.
  private func blocks(of applicationGroup: [UInt8]) -> [InterpreterOptions] {
    interpreterOptions.enumerated()
      .filter { _, block in
        block.applies(to: processGroup) && (block.applicationGroup == nil || block.applicationGroup == applicationGroup)
      }
      .sorted { ($0.element.specificity, $0.offset) < ($1.element.specificity, $1.offset) }
      .map { $0.element }
  }

  /// A setting of an interpreter, and the block that decided it.
  public func scoped<Value>(
    _ path: KeyPath<InterpreterSettings, Value?>, _ applicationGroup: [UInt8]
  ) -> (value: Value?, block: InterpreterOptions?) {
    for block in blocks(of: applicationGroup).reversed() {
      if let value = block.settings[keyPath: path] { return (value, block) }
    }
    return (interpreter[keyPath: path], nil)
  }

  /// The path layers of an interpreter, in the order in which they are added.
  public func pathLayers(_ applicationGroup: [UInt8]) -> [[UInt8]] {
    ([interpreter] + blocks(of: applicationGroup).map(\.settings)).compactMap(\.pythonPath)
  }
}
