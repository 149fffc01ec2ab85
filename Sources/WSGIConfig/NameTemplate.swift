/// A name as the configuration gives it: fixed, or made for each request.
///
/// Everything that can be known when the configuration is read is: `fixed` is used as it stands, without a look at it.
public enum NameTemplate: Hashable, Sendable {
  case fixed([UInt8])
  /// `%{RESOURCE}`: host, port and script name.
  case resource
  /// `%{SERVER}`: ServerName and port.
  case server
  /// `%{HOST}`: the request's host.
  case host
  /// `%{ENV:name}`: looked up; `token` is the name where nothing is found.
  case variable(name: [UInt8], token: [UInt8])
  /// `%{AUTO}`: the main interpreter where the process group serves a single application, else as `resource`.
  case auto

  /// The empty name: embedded mode, or the main interpreter.
  public static let global = NameTemplate.fixed([])

  /// The use of a name decides which expansions it has.
  public enum Use: Sendable {
    case processGroup, applicationGroup, scriptInterpreter, callable
  }

  /// The source of a name that was made for a request.
  enum Origin {
    case configuration
    /// A script's URL path.
    case script
    case host
    /// The value of a variable, which may be a header of the request.
    case variable
  }

  /// The name of the callable object where none, or one that means nothing, is configured.
  public static let defaultCallable = [UInt8]("application".utf8)

  public init(_ text: ByteText, for use: Use) {
    guard text.bytes.first == Ascii.percent else {
      self = .fixed(text.bytes)
      return
    }
    if use == .callable {
      self = NameTemplate.variable(in: text) ?? .fixed(NameTemplate.defaultCallable)
      return
    }
    switch text {
    case "%{GLOBAL}": self = .global
    case "%{SERVER}": self = .server
    case "%{HOST}": self = .host
    case "%{RESOURCE}" where use != .scriptInterpreter: self = .resource
    case "%{AUTO}" where use == .applicationGroup: self = .auto
    default:
      let variable = use == .scriptInterpreter ? nil : NameTemplate.variable(in: text)
      self = variable ?? .fixed(text.bytes)
    }
  }

  /// As an application group, it is the main interpreter of some requests' processes at least.
  public var mayBeMainInterpreter: Bool {
    switch self {
    case .fixed(let name): name.isEmpty
    case .auto, .variable: true
    case .resource, .server, .host: false
    }
  }

  /// A process or application group option of WSGIScriptAlias and its like: `%{GLOBAL}` has become the empty name.
  public var fixedName: [UInt8]? {
    if case .fixed(let name) = self { name } else { nil }
  }

  static func variable(in text: ByteText) -> NameTemplate? {
    let open = 6  // %{ENV:
    guard text.hasPrefix("%{ENV:"), text.hasSuffix("}"), text.count > open else { return nil }
    return .variable(name: [UInt8](text.bytes[open..<(text.count - 1)]), token: text.bytes)
  }
}
