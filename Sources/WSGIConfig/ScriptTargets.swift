/// A WSGIScriptAlias or WSGIScriptAliasMatch. A request keeps a pointer to the one that matched it.
public final class ScriptAlias: Sendable {
  public enum Pattern: Equatable, Sendable {
    case path([UInt8])
    case regex(RegexHandle, source: ByteText)
  }

  public let pattern: Pattern
  public let target: [UInt8]
  let options: ScriptOptions
  public let server: UInt
  public let location: ConfigLocation
  /// The URL path that its one script is at, as names have it; nil where there may be several.
  let mount: [UInt8]?

  init(pattern: Pattern, target: [UInt8], options: ScriptOptions, server: UInt, location: ConfigLocation) {
    self.pattern = pattern
    self.target = target
    self.options = options
    self.server = server
    self.location = location
    mount = ScriptAlias.mount(pattern, target)
  }

  private static func mount(_ pattern: Pattern, _ target: [UInt8]) -> [UInt8]? {
    guard case .path(let path) = pattern, target.last != Ascii.slash else { return nil }
    var mount: [UInt8] = []
    for byte in path where byte != Ascii.slash || mount.last != Ascii.slash { mount.append(byte) }
    if mount.last == Ascii.slash { mount.removeLast() }
    return mount
  }

  /// The directive's first argument, for messages.
  public var source: ByteText {
    switch pattern {
    case .path(let path): ByteText(path)
    case .regex(_, let source): source
    }
  }

  /// The directive and where it stands, for messages.
  var title: String { "WSGIScriptAlias \(source) (\(location))" }

  /// Another alias does with the same path what this one does.
  func leadsTheSameWay(as other: ScriptAlias) -> Bool {
    pattern == other.pattern && target == other.target && options == other.options
  }

  public var isMatch: Bool {
    if case .regex = pattern { true } else { false }
  }
}

/// A WSGIHandlerScript: a Python file that serves the resources whose handler has its name.
public final class HandlerScript: Sendable {
  public let name: [UInt8]
  public let path: [UInt8]
  let options: ScriptOptions
  /// It was named in an `.htaccess` file, whose author may run code only where ExecCGI says so.
  public let requiresExecCGI: Bool
  public let location: ConfigLocation

  init(name: [UInt8], path: [UInt8], options: ScriptOptions, requiresExecCGI: Bool, location: ConfigLocation) {
    self.name = name
    self.path = path
    self.options = options
    self.requiresExecCGI = requiresExecCGI
    self.location = location
  }

  /// The entry point of every handler script.
  public static let callable = [UInt8]("handle_request".utf8)
}

/// A script that runs in the httpd child: WSGIDispatchScript and the access, auth user and auth group scripts.
public struct ServiceScript: Hashable, Sendable {
  /// `dispatch script`, `access script` and so on, for messages.
  public let kind: String
  public let path: [UInt8]
  /// Only `%{GLOBAL}`, `%{SERVER}` and `%{HOST}` expand; the main interpreter where none was named.
  public let applicationGroup: NameTemplate
  /// It was named in an `.htaccess` file: its author may be a tenant, whose code belongs where the administrator has put it.
  public let isOfAccessFile: Bool
  public let location: ConfigLocation
}

/// A script to load when a process starts: WSGIImportScript, or an alias whose groups are both fixed.
public struct ImportScript: Hashable, Sendable {
  public let path: [UInt8]
  /// Empty: every httpd child.
  public let processGroup: [UInt8]
  public let applicationGroup: [UInt8]
  /// It comes from a WSGIScriptAlias and does not by itself ask for Python in httpd children.
  public let isPreload: Bool
  public let server: UInt
  public let location: ConfigLocation
}

/// The options that WSGIScriptAlias, WSGIHandlerScript and their like share.
struct ScriptOptions: Equatable, Sendable {
  var processGroup: NameTemplate?
  var applicationGroup: NameTemplate?
  var callableObject: [UInt8]?
  var passAuthorization: Bool?
}

/// Which options a script directive takes, and how its messages call it.
struct ScriptKind {
  let name: String
  let options: [String]

  static let alias = ScriptKind(
    name: "script alias", options: ["process-group", "application-group", "callable-object", "pass-authorization"])
  static let handler = ScriptKind(name: "handler script", options: ["process-group", "application-group", "pass-authorization"])
  static let `import` = ScriptKind(name: "import script", options: ["process-group", "application-group"])
  static let dispatch = ScriptKind(name: "dispatch script", options: ["application-group"])
  static let access = ScriptKind(name: "access script", options: ["application-group"])
  static let authUser = ScriptKind(name: "auth user script", options: ["application-group"])
  static let authGroup = ScriptKind(name: "auth group script", options: ["application-group"])

  func missingLocation() -> ConfigError { ConfigError("Location of \(name) not supplied. Give the path of a Python file.") }

  /// Reads options to the end of the line and hands each to `take`.
  func readOptions(_ line: inout ConfigLine, _ take: (ByteText, ByteText) throws(ConfigError) -> Void) throws(ConfigError) {
    while let option = try line.nextOption({ invalidOption("'\($0)' is not of the form name=value") }) {
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
