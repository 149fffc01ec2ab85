/// Where an alias leads, as far as the configuration alone can tell.
enum AliasRoute: Equatable {
  case embedded
  /// The group's place in `GlobalConfig.groups`.
  case daemon(Int)
  /// A name that no group has.
  case missing([UInt8])
  /// Only a request decides.
  case open
}

/// The uses of a process group.
struct GroupUse {
  /// Aliases that lead to it.
  var aliases: [ScriptAlias] = []
  /// Something names the group: an alias, a handler script, WSGIProcessGroup, an import.
  var isReferred = false
  /// Something leads here whose scripts cannot be told apart before a request comes.
  var isOpen = false

  /// One script, one object in it, one mount point or several: all of it can share the main interpreter.
  var isSingleApplication: Bool {
    guard !isOpen, let first = aliases.first, first.target.last != Ascii.slash, !first.isMatch else { return false }
    return aliases.allSatisfy {
      !$0.isMatch && $0.target == first.target && $0.options.callableObject == first.options.callableObject
    }
  }

  /// The use of each of `global.groups`.
  static func all(global: GlobalConfig, servers: [ConfiguredServer]) -> [GroupUse] {
    var uses = [GroupUse](repeating: GroupUse(), count: global.groups.count)
    var isOpen = global.hasDispatchScript
    func refer(_ name: NameTemplate?, _ change: (inout GroupUse) -> Void) {
      guard let name else { return }
      guard let fixed = name.fixedName else {
        isOpen = true
        return
      }
      if let index = global.groupIndex(named: fixed) { change(&uses[index]) }
    }
    for reference in global.references {
      refer(reference.name) { group in
        group.isReferred = true
        if reference.path.map({ !reference.isPlain($0) }) == true { group.isOpen = true }
      }
    }
    for script in global.imports { refer(.fixed(script.processGroup)) { $0.isReferred = true } }
    for script in global.handlerScripts {
      refer(script.options.processGroup) { group in
        group.isReferred = true
        group.isOpen = true
      }
    }
    // A section that covers no alias has scripts that only the file system knows.
    let aliases = servers.flatMap(\.config.aliases)
    for reference in global.references where reference.isPlainSection && !aliases.contains(where: reference.covers) {
      refer(reference.name) { $0.isOpen = true }
    }
    for server in servers {
      for alias in server.config.aliases {
        switch global.route(of: alias, in: server) {
        case .daemon(let index):
          uses[index].isReferred = true
          if !uses[index].aliases.contains(where: { $0 === alias }) { uses[index].aliases.append(alias) }
        case .open: isOpen = true
        case .embedded, .missing: break
        }
      }
    }
    // Which scripts a template's groups have is not known.
    for index in uses.indices where isOpen || global.groups[index].template != nil && uses[index].isReferred {
      uses[index].isOpen = true
    }
    return uses
  }
}

extension GlobalConfig {
  /// Where `alias` leads for requests of `server`, one of whose aliases it is.
  func route(of alias: ScriptAlias, in server: ConfiguredServer) -> AliasRoute {
    let template = alias.options.processGroup ?? section(of: alias)?.name ?? server.config.scope.processGroup
    guard let template else {
      return references.contains { $0.path.map { path in !path.isEmpty } == true && !$0.isPlainSection } ? .open : .embedded
    }
    guard let name = template.fixedName else { return .open }
    if name.isEmpty { return .embedded }
    return groupIndex(named: name).map { .daemon($0) } ?? .missing(name)
  }

  /// The WSGIProcessGroup of the deepest section that covers all that an alias leads to: its URL, else its script's directory,
  /// since httpd looks at sections by URL after those by directory.
  private func section(of alias: ScriptAlias) -> GroupReference? {
    guard case .path(let url) = alias.pattern else { return nil }
    let plain = references.filter(\.isPlainSection)
    let byURL = plain.filter { $0.covers(url) && !$0.covers(alias.target) }
    return (byURL.isEmpty ? plain.filter { $0.covers(alias.target) } : byURL).max {
      ($0.path?.count ?? 0) < ($1.path?.count ?? 0)
    }
  }
}

extension GroupReference {
  /// The section it stands in covers a path and what is below it; a pattern, or a file's name, may cover anything.
  var isPlainSection: Bool { path.map(isPlain) ?? false }

  func isPlain(_ path: ByteText) -> Bool {
    path.bytes.first == Ascii.slash && !path.bytes.contains { GroupReference.patternBytes.contains($0) }
  }

  /// All that the alias leads to is in the section.
  func covers(_ alias: ScriptAlias) -> Bool {
    guard case .path(let url) = alias.pattern else { return false }
    return covers(url) || covers(alias.target)
  }

  fileprivate func covers(_ path: [UInt8]) -> Bool {
    guard let section = self.path?.bytes, path.starts(with: section) else { return false }
    return section.last == Ascii.slash || path.count == section.count || path[section.count] == Ascii.slash
  }

  private static let patternBytes = [UInt8]("*?[]^$()|+\\".utf8)
}

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
      }
        || server.config.scope.handlerScripts.contains {
          mayBeEmbedded($0.options.processGroup ?? server.config.scope.processGroup)
        }
    }
  }

  private func mayBeEmbedded(_ template: NameTemplate?) -> Bool {
    guard let template else { return true }
    return template.fixedName?.isEmpty ?? true
  }
}
