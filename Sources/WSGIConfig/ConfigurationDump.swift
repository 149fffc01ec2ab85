import WSGICore

/// The configuration as it is understood, for `wsgictl doctor`: httpd -t -D DUMP_WSGI prints it. A line is a kind and its values,
/// `wsgi-group name=shop user=shop …`, where % and what is not printable are written as %XX.
public struct ConfigurationDump {
  private let configuration: Configuration
  private let diagnostics: Diagnostics
  private let system: SystemFacts

  public init(_ configuration: Configuration, _ system: SystemFacts) {
    self.configuration = configuration
    self.system = system
    diagnostics = Diagnostics(configuration, system)
  }

  /// - server: what httpd alone knows.
  public func lines(server: [(name: String, value: String)]) -> [String] {
    let own = diagnostics.embeddedCredentials
    let about =
      server + [
        ("user", own?.name ?? ""), ("python-home", text(configuration.global.engine.pythonHome) ?? ""),
        ("python-path", text(configuration.global.engine.interpreter.pythonPath) ?? ""),
        ("embedded", configuration.expectsEmbedded ? "On" : "Off"),
      ]
    var lines = [ConfigurationDump.line("server", about.map { ($0.name, ByteText($0.value)) })]
    for group in configuration.groups { lines.append(line(of: group)) }
    for server in configuration.servers {
      for alias in server.config.aliases where alias.server == server.identity.id && !alias.isMatch {
        if let line = line(of: alias, in: server) { lines.append(line) }
      }
    }
    return lines
  }

  private func line(of group: GroupConfig) -> String {
    let engine = group.settings.engine
    return ConfigurationDump.line(
      "group",
      [
        ("name", group.name), ("user", ByteText(diagnostics.credentials(of: group)?.name ?? "")),
        ("template", group.template == nil ? "" : "On"), ("processes", ByteText("\(group.settings.processes)")),
        ("threads", ByteText("\(engine.threads)")), ("home", value(engine.home)),
        ("python-home", value(engine.pythonHome)), ("python", value(engine.python)),
        ("python-path", value(engine.interpreter.pythonPath)), ("locale", value(group.settings.locale)),
        ("chroot", value(group.settings.changeRoot)), ("location", ByteText("\(group.location)")),
      ])
  }

  private func line(of alias: ScriptAlias, in server: ConfiguredServer) -> String? {
    let group: ByteText
    switch configuration.global.route(of: alias, in: server) {
    case .embedded: group = ""
    case .daemon(let index): group = configuration.groups[index].name
    case .missing, .open: return nil
    }
    let template = alias.options.applicationGroup ?? server.config.scope.applicationGroup
    return ConfigurationDump.line(
      "script",
      [
        ("path", ByteText(alias.target)), ("group", group), ("url", alias.source),
        ("interpreter", interpreter(template)),
        ("location", ByteText("\(alias.location)")),
      ])
  }

  /// The main interpreter is the one without a name; sections may choose it where nothing is said here.
  private func interpreter(_ name: NameTemplate?) -> ByteText {
    guard let name else { return configuration.global.usesMainInterpreter ? "unknown" : "other" }
    return name.fixedName.map { $0.isEmpty ? "main" : "other" } ?? "unknown"
  }

  private func text(_ bytes: [UInt8]?) -> String? { bytes.map { ByteText($0).description } }

  private func value(_ bytes: [UInt8]?) -> ByteText { ByteText(bytes ?? []) }

  private static func line(_ kind: String, _ values: [(name: String, value: ByteText)]) -> String {
    "wsgi-\(kind)" + values.map { " \($0.name)=\(escaped($0.value.bytes))" }.joined()
  }

  private static func escaped(_ bytes: [UInt8]) -> String {
    var text = ""
    for byte in bytes {
      if byte > 0x20, byte < 0x7F, byte != 0x25 {
        text.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        text += digits.utf8.count < 2 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return text
  }
}
