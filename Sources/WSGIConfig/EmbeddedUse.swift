extension Configuration {
  /// Something in the configuration leads to embedded mode for certain, or may: an httpd child had better start Python before
  /// its first request. Where this is wrong, for a handler of an `.htaccess` file perhaps, Python starts when it is needed.
  public var expectsEmbedded: Bool {
    if global.childrenNeedPython { return true }
    if global.restrictEmbedded == true { return false }
    if global.imports.contains(where: { $0.processGroup.isEmpty }) { return true }
    return servers.contains { server in
      server.config.aliases.contains { mayBeEmbedded($0.processGroup ?? group(coveringAlias: $0) ?? server.config.scope.processGroup) }
        || server.config.scope.handlerScripts.contains { mayBeEmbedded($0.processGroup ?? server.config.scope.processGroup) }
    }
  }

  /// The WSGIProcessGroup of the deepest section that covers all that an alias leads to.
  private func group(coveringAlias alias: ScriptAlias) -> NameTemplate? {
    GroupUse.section(of: alias, global.references)
  }

  private func mayBeEmbedded(_ template: NameTemplate?) -> Bool {
    guard let template else { return true }
    return template.fixedName?.isEmpty ?? true
  }
}
