import WSGICore

/// How the sessions of a process group stay with its processes: `sticky-cookie=` or `sticky-header=`.
public struct StickySessions: Equatable, Sendable {
  public enum Mark: Equatable, Sendable {
    /// The name of a cookie that httpd sets.
    case cookie(ByteText)
    /// The name of a request header, or of a variable.
    case header(ByteText)
  }

  public var mark: Mark
}

extension GroupConfig {
  /// nil: any process of the group answers.
  public var stickySessions: StickySessions? {
    (stickyCookie.map { .cookie($0) } ?? stickyHeader.map { .header($0) }).map { StickySessions(mark: $0) }
  }

  /// Refuses options that do not go together.
  func checkSessions() throws(ConfigError) {
    guard let sessions = stickySessions else { return }
    if let stickyCookie, let stickyHeader {
      throw ConfigError(
        "Only one of sticky-cookie and sticky-header allowed. sticky-cookie=\(stickyCookie) sticky-header=\(stickyHeader): remove"
          + " one of them.")
    }
    guard settings.processes <= GroupConfig.mostSessionSlots else {
      throw ConfigError(
        "Invalid process count for WSGI daemon process. processes=\(settings.processes) with \(sessions.option): sessions can"
          + " stay with \(GroupConfig.mostSessionSlots) processes at most."
      )
    }
  }

  /// The queues of so many slots fit into one message.
  public static let mostSessionSlots = 126
}

extension StickySessions {
  /// The option that it was made of.
  var option: String {
    switch mark {
    case .cookie(let name): "sticky-cookie=\(name)"
    case .header(let name): "sticky-header=\(name)"
    }
  }
}

extension DaemonProcessOption {
  /// Options of sessions that stay with a process.
  static let sessions: [DaemonProcessOption] = [
    DaemonProcessOption("sticky-cookie", default: "–", isAddition: true) { (group, text, _) throws(ConfigError) in
      let expected = "it must be a name that a cookie can have: letters, digits and any of !#$%&'*+-.^_`|~"
      guard isToken(text), text.bytes.count <= 64 else { throw invalidDaemon("cookie name", "sticky-cookie", text, expected) }
      // Browsers take such a cookie with Path=/ only.
      guard !text.bytes.map(asciiLowercase).starts(with: "__host-".utf8) else {
        throw invalidDaemon(
          "cookie name", "sticky-cookie", text,
          "the prefix __Host- is for cookies of a whole site, and this one is an application's")
      }
      group.stickyCookie = text
    },
    DaemonProcessOption("sticky-header", default: "–", isAddition: true) { (group, text, _) throws(ConfigError) in
      guard isToken(text) else {
        throw invalidDaemon(
          "header name", "sticky-header", text,
          "it must be the name of a request header, or of a variable such as RewriteRule sets")
      }
      group.stickyHeader = text
    },
    DaemonProcessOption("sticky-wait", default: "1", isAddition: true) { (group, text, _) throws(ConfigError) in
      guard let time = NumberSyntax.time(text, plainUnit: 1_000), time > 0 else {
        throw invalidDaemon(
          "sticky wait", "sticky-wait", text, "it must be a whole number of seconds above 0, or one with the unit ms, s, min or h"
        )
      }
      group.stickyWait = time
    },
  ]

  /// RFC 6265 has cookies named as headers are.
  private static func isToken(_ text: ByteText) -> Bool {
    unsafe text.bytes.withUnsafeBytes { unsafe HeaderSyntax.isToken($0) }
  }
}
