import WSGICore

/// A header of WSGITrustedProxyHeaders, as the environ variable that it arrives as.
public struct ProxyHeader: Hashable, Sendable {
  /// `HTTP_X_FORWARDED_FOR` and the like.
  public let variable: [UInt8]
  /// nil: the header has no known meaning and is left alone.
  let meaning: Meaning?

  /// Which fact a header speaks of; of each, one header wins.
  enum Category: UInt8, Sendable, CaseIterable { case client, host, server, port, scriptName, scheme }

  enum Meaning: UInt8, Sendable {
    case forwardedFor, clientAddress, host, server, port, scriptName, schemeName, schemeFlag

    var category: Category {
      switch self {
      case .forwardedFor, .clientAddress: .client
      case .host: .host
      case .server: .server
      case .port: .port
      case .scriptName: .scriptName
      case .schemeName, .schemeFlag: .scheme
      }
    }
  }

  init(_ variable: String, _ meaning: Meaning) {
    self.variable = [UInt8](variable.utf8)
    self.meaning = meaning
  }

  /// Every header that means something.
  static let known: [ProxyHeader] = [
    ProxyHeader("HTTP_X_FORWARDED_FOR", .forwardedFor),
    ProxyHeader("HTTP_X_CLIENT_IP", .clientAddress),
    ProxyHeader("HTTP_X_REAL_IP", .clientAddress),
    ProxyHeader("HTTP_X_FORWARDED_HOST", .host),
    ProxyHeader("HTTP_X_HOST", .host),
    ProxyHeader("HTTP_X_FORWARDED_SERVER", .server),
    ProxyHeader("HTTP_X_FORWARDED_PORT", .port),
    ProxyHeader("HTTP_X_SCRIPT_NAME", .scriptName),
    ProxyHeader("HTTP_X_FORWARDED_SCRIPT_NAME", .scriptName),
    ProxyHeader("HTTP_X_FORWARDED_PROTO", .schemeName),
    ProxyHeader("HTTP_X_FORWARDED_SCHEME", .schemeName),
    ProxyHeader("HTTP_X_SCHEME", .schemeName),
    ProxyHeader("HTTP_X_FORWARDED_HTTPS", .schemeFlag),
    ProxyHeader("HTTP_X_FORWARDED_SSL", .schemeFlag),
    ProxyHeader("HTTP_X_HTTPS", .schemeFlag),
  ]

  static func variables(of category: Category) -> [[UInt8]] { known.filter { $0.meaning?.category == category }.map(\.variable) }

  /// Reads a header's name: letters, digits and `-`. Headers with an underscore do not reach applications.
  init(configured name: ByteText) throws(ConfigError) {
    guard !name.isEmpty, name.bytes.allSatisfy({ HeaderKey.variableByte($0) != 0 }) else {
      throw ConfigError(
        "Invalid header name for WSGITrustedProxyHeaders: '\(name)'. A name has letters, digits and '-', as in X-Forwarded-For.")
    }
    let variable = [UInt8]("HTTP_".utf8) + name.bytes.map(HeaderKey.variableByte)
    self.variable = variable
    meaning = ProxyHeader.known.first { $0.variable == variable }?.meaning
  }
}
