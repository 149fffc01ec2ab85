import WSGICore

/// One option of WSGIDaemonProcess.
public struct DaemonProcessOption: Sendable {
  typealias Apply = @Sendable (inout GroupConfig, ByteText, ParseEnvironment) throws(ConfigError) -> Void

  public let name: String
  /// The default, for the documentation.
  public let defaultValue: String
  /// The reference module does not have it.
  public let isAddition: Bool
  let apply: Apply

  init(_ name: String, default defaultValue: String, isAddition: Bool = false, _ apply: @escaping Apply) {
    self.name = name
    self.defaultValue = defaultValue
    self.isAddition = isAddition
    self.apply = apply
  }
}

extension GroupConfig {
  /// Applies WSGIDaemonProcess.
  static func add(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
    try add(&parse, &line, template: nil)
  }

  static func add(
    _ parse: inout ConfigParse, _ line: inout ConfigLine, template: GroupTemplate?
  ) throws(ConfigError) {
    guard let name = line.nextWord(), !name.isEmpty else {
      throw ConfigError("Name of WSGI daemon process not supplied. Give the process group a name.")
    }
    if let index = parse.global.value.groupIndex(named: name.bytes) {
      throw ConfigError(
        "Name duplicates previous WSGI daemon definition. '\(name)' was defined at \(parse.global.value.groups[index].location).")
    }
    var group = GroupConfig(name: name, server: parse.server, location: parse.location)
    if template != nil {
      group.template = template
      group.minimumProcesses = 0
      group.hasCleanEnvironment = true
    }
    func malformed(_ word: ByteText) -> ConfigError {
      ConfigError("Invalid option to WSGI daemon process definition. '\(word)' is not of the form name=value.")
    }
    while let option = try line.nextOption(malformed) {
      try group.set(option.name, to: option.value, parse.environment)
      if option.name == "socket-user" {
        parse.noteObsolete("socket-user=", "process groups are reached without socket files")
      }
    }
    if let value = group.controlGroupValues.first, group.settings.controlGroup == nil {
      throw ConfigError(
        "No control group for WSGI daemon process. cgroup-set=\(value.file):\(value.value): add cgroup=, its directory."
      )
    }
    try group.checkTemplate(parse)
    try group.checkSessions()
    if let fewest = group.minimumProcesses, fewest < group.settings.processes, group.settings.engine.isService {
      throw ConfigError(
        "Invalid process count for WSGI daemon process. A group with threads=0 serves no requests that could start a process:"
          + " write processes=\(group.settings.processes).")
    }
    parse.global.value.groups.append(group)
  }

  private mutating func set(
    _ name: ByteText, to value: ByteText, _ environment: ParseEnvironment
  ) throws(ConfigError) {
    let written = name.description
    let options = (template == nil ? [] : DaemonProcessOption.ofTemplates) + DaemonProcessOption.table
    guard let option = options.first(where: { $0.name == written }) else {
      let near = closest(to: written, among: options.map(\.name))
      let hint = near.map { "; did you mean '\($0)'?" } ?? "."
      throw ConfigError("Invalid option to WSGI daemon process definition. There is no option '\(written)'\(hint)")
    }
    try option.apply(&self, try templated(written, value), environment)
  }
}

/// "Invalid <thing> for WSGI daemon process." and what to write instead.
func invalidDaemon(_ thing: String, _ option: String, _ value: ByteText, _ expected: String) -> ConfigError {
  ConfigError("Invalid \(thing) for WSGI daemon process. \(option)=\(value.isEmpty ? "''" : value.description): \(expected).")
}

extension DaemonProcessOption {
  typealias Set<Value> = @Sendable (inout GroupConfig, Value) -> Void

  /// The option that a row of the settings describes.
  init?(_ row: Setting<WorkerSettings>) {
    guard let form = row.option else { return nil }
    let name = row.key.description
    self.init(name, default: form.defaultValue ?? form.written(row.standard.text), isAddition: form.isAddition) {
      (group, text, _) throws(ConfigError) in
      // The form lets pass what the setting can hold.
      _ = row.set(&group.settings, try form.read(text, name))
    }
  }

  /// Any text, the empty one included, which stands for none.
  static func text(_ name: String, _ set: @escaping Set<ByteText?>) -> DaemonProcessOption {
    DaemonProcessOption(name, default: "–") { (group, text, _) in set(&group, text.isEmpty ? nil : text) }
  }

  /// A time; a plain number is in seconds, or in milliseconds where `plainUnit` is 1.
  static func time(
    _ name: String, _ thing: String, default value: String, plainUnit: Int = 1_000, isAddition: Bool = false,
    _ set: @escaping Set<Milliseconds>
  ) -> DaemonProcessOption {
    DaemonProcessOption(name, default: value, isAddition: isAddition) { (group, text, _) throws(ConfigError) in
      set(&group, try OptionForm.time(text, name, thing, plainUnit: plainUnit))
    }
  }

  /// A whole number within `range`.
  static func number(
    _ name: String, _ thing: String, default value: String, _ range: ClosedRange<Int>, isAddition: Bool = false,
    _ set: @escaping Set<Int>
  ) -> DaemonProcessOption {
    DaemonProcessOption(name, default: value, isAddition: isAddition) { (group, text, _) throws(ConfigError) in
      set(&group, try OptionForm.number(text, name, thing, range))
    }
  }

  /// A number of bytes.
  static func size(
    _ name: String, _ thing: String, default value: String, isAddition: Bool = false, _ set: @escaping Set<Int>
  ) -> DaemonProcessOption {
    DaemonProcessOption(name, default: value, isAddition: isAddition) { (group, text, _) throws(ConfigError) in
      guard let size = NumberSyntax.size(text), size >= 0 else {
        throw invalidDaemon(thing, name, text, "it must be a number of bytes; K, M and G may follow it")
      }
      set(&group, size)
    }
  }

  /// Bytes of a buffer: at least `minimum`, or 0, which stands for the default, nil.
  static func buffer(
    _ name: String, _ thing: String, default value: String, minimum: Int, of decider: String = "default",
    _ set: @escaping Set<Int?>
  ) -> DaemonProcessOption {
    DaemonProcessOption(name, default: value) { (group, text, _) throws(ConfigError) in
      guard !text.isEmpty else {
        throw invalidDaemon(thing, name, text, "it must be a number of bytes; K, M and G may follow it")
      }
      guard let size = NumberSyntax.size(text), size == 0 || size >= minimum else {
        throw ConfigError(
          "\(thing.prefix(1).uppercased())\(thing.dropFirst()) must be >= \(minimum) bytes, or 0 for \(decider). "
            + "\(name)=\(text) is not; K, M and G may follow a number.")
      }
      set(&group, size == 0 ? nil : size)
    }
  }
}

extension OptionForm {
  /// The standard value as the documentation has it.
  fileprivate func written(_ standard: String) -> String {
    switch syntax {
    case .text, .path, .seconds: "–"
    case .flag: standard == "1" ? "On" : "Off"
    case .time: "\((Int(standard) ?? 0) / 1_000)"
    case .number, .size: standard
    }
  }

  /// The value of a setting given as text; nil: its default.
  fileprivate func read(_ text: ByteText, _ name: String) throws(ConfigError) -> [UInt8]? {
    switch syntax {
    case .text: return text.isEmpty ? nil : text.bytes
    case .path:
      guard text.bytes.first == Ascii.slash else { throw invalidDaemon(thing, name, text, "it must be an absolute path") }
      return text.bytes
    case .flag:
      guard let isOn = onOff(text) else { throw invalidDaemon(thing, name, text, "it must be On or Off") }
      return isOn.settingBytes
    case .seconds:
      guard let seconds = NumberSyntax.seconds(text), seconds > 0 else {
        throw invalidDaemon(thing, name, text, "it must be a number of seconds above 0")
      }
      return seconds.settingBytes
    case .time: return try OptionForm.time(text, name, thing, plainUnit: 1_000).settingBytes
    case .number(let range): return try OptionForm.number(text, name, thing, range).settingBytes
    case .size(let minimum):
      guard let size = NumberSyntax.size(text), size >= minimum else {
        throw invalidDaemon(thing, name, text, "it must be a whole number of bytes, \(minimum) or more, or one with K, M or G")
      }
      return size.settingBytes
    }
  }

  fileprivate static func time(
    _ text: ByteText, _ name: String, _ thing: String, plainUnit: Int
  ) throws(ConfigError) -> Milliseconds {
    guard let time = NumberSyntax.time(text, plainUnit: plainUnit), time >= 0 else {
      let plain = plainUnit == 1 ? "milliseconds" : "seconds"
      throw invalidDaemon(
        thing, name, text, "it must be a whole number of \(plain), 0 or more, or one with the unit ms, s, min or h")
    }
    return time
  }

  static func number(
    _ text: ByteText, _ name: String, _ thing: String, _ range: ClosedRange<Int>
  ) throws(ConfigError) -> Int {
    guard let number = NumberSyntax.integer(text), range.contains(number) else {
      throw invalidDaemon(thing, name, text, "it must be a whole number \(describe(range))")
    }
    return number
  }

  private static func describe(_ range: ClosedRange<Int>) -> String {
    switch (range.lowerBound, range.upperBound) {
    case (Int.min, Int.max): "(positive, negative or 0)"
    case (let low, Int.max): "of at least \(low)"
    case (let low, let high): "from \(low) to \(high)"
    }
  }
}

/// The name that a mistyped one most likely meant: at most two edits away, or a third of its length.
func closest(to word: String, among names: [String]) -> String? {
  let near = names.map { (name: $0, distance: editDistance([UInt8](word.utf8), [UInt8]($0.utf8))) }
    .min { $0.distance < $1.distance }
  guard let near, near.distance <= max(2, word.utf8.count / 3) else { return nil }
  return near.name
}

/// Insertions, deletions and replacements that turn one name into the other.
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  guard a.count < 64, b.count < 64 else { return 64 }
  var row = Array(0...b.count)
  for (i, x) in a.enumerated() {
    let above = row
    row[0] = i + 1
    for (j, y) in b.enumerated() {
      row[j + 1] = min(above[j + 1] + 1, row[j] + 1, above[j] + (x == y ? 0 : 1))
    }
  }
  return row.last ?? 0
}
