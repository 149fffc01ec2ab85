/// Which options a script directive takes, and how its messages call it.
struct ScriptKind {
  let name: String
  let options: [String]

  static let alias = ScriptKind(
    name: "script alias", options: ["process-group", "application-group", "callable-object", "pass-authorization"])
  static let handler = ScriptKind(
    name: "handler script", options: ["process-group", "application-group", "pass-authorization"])
  static let `import` = ScriptKind(name: "import script", options: ["process-group", "application-group"])
  static let dispatch = ScriptKind(name: "dispatch script", options: ["application-group"])
  static let access = ScriptKind(name: "access script", options: ["application-group"])
  static let authUser = ScriptKind(name: "auth user script", options: ["application-group"])
  static let authGroup = ScriptKind(name: "auth group script", options: ["application-group"])

  func missingLocation() -> ConfigError {
    ConfigError("Location of \(name) not supplied. Give the path of a Python file.")
  }

  /// Reads options to the end of the line and hands each to `take`.
  func readOptions(
    _ line: inout ConfigLine, _ take: (ByteText, ByteText) throws(ConfigError) -> Void
  ) throws(ConfigError) {
    while true {
      let option: (name: ByteText, value: ByteText)
      do {
        guard let next = try line.nextOption() else { return }
        option = next
      } catch {
        throw invalidOption("'\(error.word)' is not of the form name=value")
      }
      guard options.contains(option.name.description) else {
        throw invalidOption("'\(option.name)' is not one of \(options.joined(separator: ", "))")
      }
      try take(option.name, option.value)
    }
  }

  private func invalidOption(_ reason: String) -> ConfigError {
    ConfigError("Invalid option to WSGI \(name) definition. \(reason).")
  }
}
