/// What leads to a process group, as far as the configuration alone can tell.
struct GroupUse {
  /// Aliases that name the group, or stand where it is the one in force.
  var aliases: [ScriptAlias] = []
  /// Something names the group: an alias, a handler script, WSGIProcessGroup, an import.
  var isReferred = false
  /// Something leads here whose scripts cannot be told apart before a request comes.
  var isOpen = false

  /// One script, one object in it, one mount point or several: all of it can share the main interpreter.
  var isSingleApplication: Bool {
    guard !isOpen, let first = aliases.first, first.target.last != Ascii.slash, !first.isMatch else { return false }
    return aliases.allSatisfy { !$0.isMatch && $0.target == first.target && $0.callableObject == first.callableObject }
  }

  /// The use of each of `global.groups`.
  static func all(global: GlobalConfig, servers: [ConfiguredServer]) -> [GroupUse] {
    var uses = [GroupUse](repeating: GroupUse(), count: global.groups.count)
    var isDynamic = false
    func use(_ template: NameTemplate?, _ change: (inout GroupUse) -> Void) {
      switch template {
      case .fixed(let name): if let index = global.groupIndex(named: name) { change(&uses[index]) }
      case nil: break
      default: isDynamic = true
      }
    }
    for reference in global.references {
      use(reference.name) {
        $0.isReferred = true
        // A section whose path is no plain path may cover anything.
        if let path = reference.path, path.bytes.first != Ascii.slash || path.bytes.contains(where: isWildcard) {
          $0.isOpen = true
        }
      }
    }
    for script in global.imports { use(.fixed(script.processGroup)) { $0.isReferred = true } }
    for server in servers {
      for script in server.config.scope.handlerScripts {
        use(script.processGroup ?? server.config.scope.processGroup) {
          $0.isReferred = true
          $0.isOpen = true
        }
      }
      // A virtual host's aliases are followed by the main server's, which its own WSGIProcessGroup then applies to.
      for alias in server.config.aliases {
        let template = alias.processGroup ?? section(of: alias, global.references) ?? server.config.scope.processGroup
        use(template) { group in
          group.isReferred = true
          if !group.aliases.contains(where: { $0 === alias }) { group.aliases.append(alias) }
        }
      }
    }
    if isDynamic {
      for index in uses.indices { uses[index].isOpen = true }
    }
    return uses
  }

  /// The WSGIProcessGroup of the deepest section that covers all that an alias leads to: its script's directory, or its URL.
  static func section(of alias: ScriptAlias, _ references: [GroupReference]) -> NameTemplate? {
    guard case .path(let url) = alias.pattern else { return nil }
    let covering = references.filter { reference in
      guard let path = reference.path else { return false }
      return covers(path.bytes, alias.target) || covers(path.bytes, url)
    }
    return covering.max { ($0.path?.count ?? 0) < ($1.path?.count ?? 0) }?.name
  }

  private static func covers(_ section: [UInt8], _ path: [UInt8]) -> Bool {
    guard path.starts(with: section) else { return false }
    return section.last == Ascii.slash || path.count == section.count || path[section.count] == Ascii.slash
  }

  private static func isWildcard(_ byte: UInt8) -> Bool { byte == 0x2A || byte == 0x3F || byte == 0x5B || byte == 0x5E }
}
