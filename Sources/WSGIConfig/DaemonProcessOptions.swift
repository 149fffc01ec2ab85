/// One option of WSGIDaemonProcess.
public struct DaemonProcessOption: Sendable {
  typealias Apply = @Sendable (inout DaemonGroup, ByteText, ParseEnvironment) throws(ConfigError) -> Void

  public let name: String
  /// What is written where the option is not, for the documentation.
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

extension DaemonGroup {
  /// Applies WSGIDaemonProcess.
  static func add(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
    guard let name = line.nextWord(), !name.isEmpty else {
      throw ConfigError("Name of WSGI daemon process not supplied. Give the process group a name.")
    }
    if let index = parse.global.value.groupIndex(named: name.bytes) {
      throw ConfigError(
        "Name duplicates previous WSGI daemon definition. '\(name)' was defined at \(parse.global.value.groups[index].location).")
    }
    var group = DaemonGroup(name: name, server: parse.server, location: parse.location)
    while true {
      let option: (name: ByteText, value: ByteText)
      do {
        guard let next = try line.nextOption() else { break }
        option = next
      } catch {
        throw ConfigError("Invalid option to WSGI daemon process definition. '\(error.word)' is not of the form name=value.")
      }
      try group.set(option.name, to: option.value, parse.environment)
      if option.name == "socket-user" {
        parse.noteObsolete("socket-user=", "process groups are reached without socket files")
      }
    }
    parse.global.value.groups.append(group)
  }

  private mutating func set(
    _ name: ByteText, to value: ByteText, _ environment: ParseEnvironment
  ) throws(ConfigError) {
    let written = name.description
    guard let option = DaemonProcessOption.table.first(where: { $0.name == written }) else {
      let near = closest(to: written, among: DaemonProcessOption.table.map(\.name))
      let hint = near.map { "; did you mean '\($0)'?" } ?? "."
      throw ConfigError("Invalid option to WSGI daemon process definition. There is no option '\(written)'\(hint)")
    }
    try option.apply(&self, value, environment)
  }
}

/// "Invalid <thing> for WSGI daemon process." and what to write instead.
func invalidDaemon(_ thing: String, _ option: String, _ value: ByteText, _ expected: String) -> ConfigError {
  ConfigError("Invalid \(thing) for WSGI daemon process. \(option)=\(value.isEmpty ? "''" : value.description): \(expected).")
}

extension DaemonProcessOption {
  typealias Set<Value> = @Sendable (inout DaemonGroup, Value) -> Void

  /// Any text, the empty one included, which stands for none.
  static func text(_ name: String, default value: String = "–", _ set: @escaping Set<ByteText?>) -> DaemonProcessOption {
    DaemonProcessOption(name, default: value) { (group, text, _) in set(&group, text.isEmpty ? nil : text) }
  }

  /// An absolute path.
  static func path(
    _ name: String, _ thing: String, default value: String = "–", isAddition: Bool = false, _ set: @escaping Set<ByteText>
  ) -> DaemonProcessOption {
    DaemonProcessOption(name, default: value, isAddition: isAddition) { (group, text, _) throws(ConfigError) in
      guard text.bytes.first == Ascii.slash else { throw invalidDaemon(thing, name, text, "it must be an absolute path") }
      set(&group, text)
    }
  }

  /// A time; a plain number is in seconds.
  static func time(
    _ name: String, _ thing: String, default value: String, plainUnit: Int = 1_000, isAddition: Bool = false,
    _ set: @escaping Set<Milliseconds>
  ) -> DaemonProcessOption {
    DaemonProcessOption(name, default: value, isAddition: isAddition) { (group, text, _) throws(ConfigError) in
      guard let time = NumberSyntax.time(text, plainUnit: plainUnit), time >= 0 else {
        let plain = plainUnit == 1 ? "milliseconds" : "seconds"
        throw invalidDaemon(
          thing, name, text, "it must be a whole number of \(plain), 0 or more, or one with the unit ms, s, min or h")
      }
      set(&group, time)
    }
  }

  /// A whole number within `range`.
  static func number(
    _ name: String, _ thing: String, default value: String, _ range: ClosedRange<Int>, isAddition: Bool = false,
    _ set: @escaping Set<Int>
  ) -> DaemonProcessOption {
    DaemonProcessOption(name, default: value, isAddition: isAddition) { (group, text, _) throws(ConfigError) in
      guard let number = NumberSyntax.integer(text), range.contains(number) else {
        throw invalidDaemon(thing, name, text, "it must be a whole number \(describe(range))")
      }
      set(&group, number)
    }
  }

  /// Bytes, at least `minimum`.
  static func size(
    _ name: String, _ thing: String, default value: String, minimum: Int, _ set: @escaping Set<Int>
  ) -> DaemonProcessOption {
    DaemonProcessOption(name, default: value) { (group, text, _) throws(ConfigError) in
      guard let size = NumberSyntax.size(text), size >= minimum else {
        throw invalidDaemon(thing, name, text, "it must be a whole number of bytes, \(minimum) or more, or one with K, M or G")
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
