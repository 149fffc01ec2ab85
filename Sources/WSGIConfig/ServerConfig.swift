/// The configuration of a server, main or virtual.
public struct ServerConfig: Sendable {
  public var scope = ScopeSettings()
  /// In the order they are tried.
  public var aliases: [ScriptAlias] = []

  public init() {}

  /// A virtual host's configuration on top of the main server's; its aliases are tried first.
  public static func merge(_ main: ServerConfig, _ virtual: ServerConfig) -> ServerConfig {
    var merged = ServerConfig()
    merged.scope = main.scope.overlaid(by: virtual.scope)
    merged.aliases = virtual.aliases + main.aliases
    return merged
  }
}

/// The configuration of a directory-type section or an `.htaccess` file. A copy costs little, as for `ScopeSettings`.
public struct DirectoryConfig: Sendable {
  public var scope = ScopeSettings()
  private var auth: Shared<AuthScripts>?
  /// Accepted for compatibility; httpd's authorization framework leaves nothing for it to decide.
  public var groupAuthoritative: Bool?

  public init() {}

  public var accessScript: ServiceScript? {
    get { auth?.value.access }
    set { auth = Shared(AuthScripts(access: newValue, user: authUserScript, group: authGroupScript)) }
  }

  public var authUserScript: ServiceScript? {
    get { auth?.value.user }
    set { auth = Shared(AuthScripts(access: accessScript, user: newValue, group: authGroupScript)) }
  }

  public var authGroupScript: ServiceScript? {
    get { auth?.value.group }
    set { auth = Shared(AuthScripts(access: accessScript, user: authUserScript, group: newValue)) }
  }

  /// Nothing was said: merging it changes nothing.
  public var isEmpty: Bool { auth == nil && groupAuthoritative == nil && scope.isEmpty }

  /// An inner section's configuration on top of an outer one's.
  public static func merge(_ outer: DirectoryConfig, _ inner: DirectoryConfig) -> DirectoryConfig {
    var merged = outer
    merged.scope = outer.scope.overlaid(by: inner.scope)
    if let above = inner.auth?.value {
      merged.auth = Shared(
        AuthScripts(
          access: above.access ?? outer.accessScript, user: above.user ?? outer.authUserScript,
          group: above.group ?? outer.authGroupScript))
    }
    merged.groupAuthoritative = inner.groupAuthoritative ?? outer.groupAuthoritative
    return merged
  }
}

/// The scripts that decide who may see a directory.
private struct AuthScripts: Sendable {
  let access: ServiceScript?
  let user: ServiceScript?
  let group: ServiceScript?
}
