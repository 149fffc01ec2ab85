extension Configuration {
  /// Something in the configuration leads to embedded mode for certain, or may: an httpd child had better start Python before
  /// its first request. Where this is wrong, for a handler of an `.htaccess` file perhaps, Python starts when it is needed.
  public var expectsEmbedded: Bool {
    if global.childrenNeedPython { return true }
    if global.restrictEmbedded == true { return false }
    if global.imports.contains(where: { $0.processGroup.isEmpty }) { return true }
    return servers.contains { server in
      server.config.aliases.contains { alias in
        switch global.route(of: alias, in: server) {
        case .embedded, .open: true
        case .daemon, .missing: false
        }
      } || server.config.scope.handlerScripts.contains { mayBeEmbedded($0.processGroup ?? server.config.scope.processGroup) }
    }
  }

  private func mayBeEmbedded(_ template: NameTemplate?) -> Bool {
    guard let template else { return true }
    return template.fixedName?.isEmpty ?? true
  }
}
