/// Where a directive may stand.
public enum DirectiveContext: Sendable {
  /// The main server only.
  case global
  /// The main server and virtual hosts.
  case server
  /// Also directory-type sections, but no `.htaccess`.
  case serverAndDirectory
  /// Everywhere; in `.htaccess` under `AllowOverride FileInfo`.
  case everywhere
  /// Directory-type sections; `.htaccess` under `AllowOverride AuthConfig`.
  case directoryAuth

  /// httpd's `req_override`: RSRC_CONF, ACCESS_CONF, OR_FILEINFO, OR_AUTHCFG.
  public var overrideBits: Int32 {
    switch self {
    case .global, .server: 128
    case .serverAndDirectory: 128 | 64
    case .everywhere: 4
    case .directoryAuth: 8
    }
  }
}

/// One directive: a row of the table that httpd's command table is made from. All are registered RAW_ARGS.
public struct Directive: Sendable {
  /// The arguments of the directive, and the action on them.
  public enum Syntax: Sendable {
    case flag(@Sendable (inout ConfigParse, Bool) throws(ConfigError) -> Void)
    case one(@Sendable (inout ConfigParse, ByteText) throws(ConfigError) -> Void)
    /// At least one word, each applied by itself.
    case each(@Sendable (inout ConfigParse, ByteText) throws(ConfigError) -> Void)
    /// The whole line.
    case line(@Sendable (inout ConfigParse, inout ConfigLine) throws(ConfigError) -> Void)
    /// The opening line of a section. The directives inside follow one by one, then `closeInterpreterOptions`.
    case section(@Sendable (inout ConfigParse, inout ConfigLine) throws(ConfigError) -> Void)
  }

  public let name: StaticString
  public let context: DirectiveContext
  /// The default, for the documentation.
  public let defaultValue: StaticString
  /// A description of the argument; ends httpd's "takes one argument, …".
  public let usage: StaticString
  /// Has a meaning of its own inside `<WSGIInterpreterOptions>`.
  public let isScopable: Bool
  let syntax: Syntax

  init(
    _ name: StaticString, _ context: DirectiveContext, default defaultValue: StaticString, _ usage: StaticString,
    scopable: Bool = false, _ syntax: Syntax
  ) {
    self.name = name
    self.context = context
    self.defaultValue = defaultValue
    self.usage = usage
    isScopable = scopable
    self.syntax = syntax
  }

  /// The opening tag of a section, which the caller follows with the directives inside and `closeInterpreterOptions`.
  public var isSection: Bool {
    if case .section = syntax { true } else { false }
  }

  /// Applies the directive to `arguments`, as httpd read them.
  public func apply(_ arguments: ByteText, to parse: inout ConfigParse) throws(ConfigError) {
    if context == .global, parse.server.isVirtual {
      let title = isSection ? "\(name)>" : "\(name)"
      throw ConfigError("\(title) cannot occur within <VirtualHost> section. Move it to the main server.")
    }
    if !isScopable, !parse.isAccessFile, parse.global.value.openBlock != nil, !isSection {
      throw Directive.notScopable(name.description)
    }
    var line = ConfigLine(arguments)
    switch syntax {
    case .flag(let change):
      let word = try oneWord(&line)
      guard let isOn = onOff(word) else {
        throw ConfigError("\(name) must be one of: Off | On, not '\(word)'.")
      }
      try change(&parse, isOn)
    case .one(let change):
      try change(&parse, try oneWord(&line))
    case .each(let change):
      guard !line.isAtEnd else { throw ConfigError("\(name) requires at least one argument, \(usage)") }
      while let word = line.nextWord() { try change(&parse, word) }
    case .line(let change), .section(let change):
      try change(&parse, &line)
    }
  }

  private func oneWord(_ line: inout ConfigLine) throws(ConfigError) -> ByteText {
    guard let word = line.nextWord(), !word.isEmpty, line.isAtEnd else {
      throw ConfigError("\(name) takes one argument, \(usage)")
    }
    return word
  }

  /// The row of a directive; the name is compared as httpd does, without regard to case.
  public static func named(_ name: String) -> Directive? {
    table.first { ByteText($0.name.description).equalsIgnoringCase(ByteText(name)) }
  }

  /// Refuses a directive of any module that would act on the whole server from inside `<WSGIInterpreterOptions>`.
  /// The httpd side asks it of each name in the block, since it alone sees those of other modules.
  public static func checkScopable(_ name: String) throws(ConfigError) {
    guard let directive = named(name), directive.isScopable else { throw notScopable(name) }
  }

  private static func notScopable(_ name: String) -> ConfigError {
    let scopable = table.filter(\.isScopable).map(\.name.description).joined(separator: ", ")
    let title = name.hasPrefix("<") ? "\(name)>" : name
    return ConfigError(
      "\(title) cannot occur within <WSGIInterpreterOptions>: it would apply to the whole server. Move it outside; "
        + "inside may stand \(scopable).")
  }
}

/// `On` or `Off` in any case; nothing else is a flag.
func onOff(_ word: ByteText) -> Bool? {
  if word.equalsIgnoringCase("On") { return true }
  if word.equalsIgnoringCase("Off") { return false }
  return nil
}
