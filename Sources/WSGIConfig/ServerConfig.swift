/// What is configured for a server, main or virtual.
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

/// What is configured for a directory-type section or an `.htaccess` file.
public struct DirectoryConfig: Sendable {
  public var scope = ScopeSettings()
  public var accessScript: ServiceScript?
  public var authUserScript: ServiceScript?
  public var authGroupScript: ServiceScript?
  /// Accepted for compatibility; httpd's authorization framework leaves nothing for it to decide.
  public var groupAuthoritative: Bool?

  public init() {}

  /// Nothing was said: merging it changes nothing.
  public var isEmpty: Bool {
    accessScript == nil && authUserScript == nil && authGroupScript == nil && groupAuthoritative == nil && scope.isEmpty
  }

  /// An inner section's configuration on top of an outer one's.
  public static func merge(_ outer: borrowing DirectoryConfig, _ inner: borrowing DirectoryConfig) -> DirectoryConfig {
    var merged = copy outer
    merged.scope = outer.scope.overlaid(by: inner.scope)
    merged.accessScript = inner.accessScript ?? outer.accessScript
    merged.authUserScript = inner.authUserScript ?? outer.authUserScript
    merged.authGroupScript = inner.authGroupScript ?? outer.authGroupScript
    merged.groupAuthoritative = inner.groupAuthoritative ?? outer.groupAuthoritative
    return merged
  }
}
