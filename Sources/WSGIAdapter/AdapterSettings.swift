import WSGICore

/// A failure to read the settings that the engine is started with.
public enum SettingsFailure: Error { case malformed }

/// What the administrator set for this process, as far as applications can tell (keys: `EngineSettings`).
public struct AdapterSettings: Sendable {
  /// One `<WSGIInterpreterOptions>` block; nil selectors match everything.
  public struct Block: Sendable {
    public var applicationGroup: String?
    public var processGroup: String?
    public var values: [String: String] = [:]
  }

  public private(set) var values: [String: String] = [:]
  public private(set) var warnings: [String] = []
  public private(set) var blocks: [Block] = []

  /// The process is a daemon process.
  public private(set) var isDaemon = false

  public init() {}

  /// Decodes settings pairs.
  public init(decoding bytes: UnsafeRawBufferPointer) throws(SettingsFailure) {
    do {
      for (key, value) in try AdapterSettings.pairs(bytes) {
        switch key {
        case EngineSettings.warning: warnings.append(String(decoding: value, as: UTF8.self))
        case EngineSettings.interpreterOptions:
          var block = Block()
          for (name, text) in try value.withUnsafeBytes({ try AdapterSettings.pairs($0) }) {
            let text = String(decoding: text, as: UTF8.self)
            switch name {
            case "application-group": block.applicationGroup = text
            case "process-group": block.processGroup = text
            default: block.values[name] = text
            }
          }
          blocks.append(block)
        default: values[key] = String(decoding: value, as: UTF8.self)
        }
      }
    } catch { throw .malformed }
    isDaemon = !processGroup.isEmpty
  }

  private static func pairs(_ bytes: UnsafeRawBufferPointer) throws(FlatFailure) -> [(String, [UInt8])] {
    var reader = FlatReader(bytes)
    var result: [(String, [UInt8])] = []
    for _ in 0..<(try reader.readUInt32()) {
      let pair = try reader.readPair()
      result.append((String(decoding: pair.key, as: UTF8.self), pair.value.map { Array($0) } ?? []))
    }
    return result
  }

  public subscript(key: String) -> String? { values[key] }
  public func flag(_ key: String, default standard: Bool = false) -> Bool { values[key].map { $0 == "1" } ?? standard }
  public func number(_ key: String) -> Int? { values[key].flatMap { Int($0) } }

  public var processGroup: String { values[EngineSettings.processGroup] ?? "" }

  /// The blocks that match an interpreter, least specific first; later in the file counts as more specific.
  public func matching(_ applicationGroup: String) -> [Block] {
    blocks.enumerated()
      .filter { _, block in
        (block.applicationGroup.map { $0 == applicationGroup } ?? true)
          && (block.processGroup.map { $0 == processGroup } ?? true)
      }
      .sorted { a, b in
        let x = specificity(a.element)
        let y = specificity(b.element)
        return x == y ? a.offset < b.offset : x < y
      }
      .map { $0.element }
  }

  private func specificity(_ block: Block) -> Int {
    (block.applicationGroup == nil ? 0 : 1) + (block.processGroup == nil ? 0 : 1)
  }

  /// A scoped setting for an interpreter, and the block that decided it.
  public func scoped(_ key: String, _ applicationGroup: String) -> (value: String?, block: Block?) {
    for block in matching(applicationGroup).reversed() {
      if let value = block.values[key] { return (value, block) }
    }
    return (values[key], nil)
  }

  /// The path layers of an interpreter, in the order in which they are added.
  public func pathLayers(_ applicationGroup: String) -> [String] {
    ([values[EngineSettings.pythonPath]] + matching(applicationGroup).map { $0.values[EngineSettings.pythonPath] })
      .compactMap { $0 }
  }
}
