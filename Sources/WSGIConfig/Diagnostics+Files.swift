import WSGICore

// Scripts and directories: do they exist, and can those who are to use them get there?

extension Diagnostics {
  /// WSGI0307: a script that is not there, or out of reach.
  mutating func checkScripts() {
    for server in configuration.servers {
      for alias in server.config.aliases where alias.server == server.identity.id {
        if alias.isMatch, alias.target.contains(Ascii.dollar) { continue }
        checkScript(ByteText(alias.target), "\(alias.title)", global.route(of: alias, in: server), alias.server)
      }
    }
    for script in global.imports where !script.isPreload {
      let index = global.groupIndex(named: script.processGroup)
      checkScript(ByteText(script.path), "WSGIImportScript (\(script.location))", index.map { .daemon($0) } ?? .embedded, 0)
    }
    for script in global.handlerScripts {
      let route: AliasRoute
      if let name = script.options.processGroup?.fixedName {
        route = name.isEmpty ? .embedded : global.groupIndex(named: name).map { .daemon($0) } ?? .missing(name)
      } else {
        route = .open
      }
      checkScript(ByteText(script.path), "WSGIHandlerScript \(ByteText(script.name)) (\(script.location))", route, 0)
    }
    for script in global.serviceScripts {
      checkScript(ByteText(script.path), "The \(script.kind) (\(script.location))", .embedded, 0)
    }
    for group in configuration.groups { checkDirectories(of: group) }
    if let path = global.engine.interpreter.pythonPath.map({ ByteText($0) }) {
      let place = global.pythonPathLocation.map { " (\($0))" } ?? ""
      for entry in path.split(Ascii.colon) where entry.bytes.first == Ascii.slash {
        guard let obstacle = system.obstacle(to: entry, for: embeddedCredentials) else { continue }
        warn(309, "WSGIPythonPath\(place) has an unusable entry: \(obstacle.text(for: embeddedCredentials)).")
      }
    }
  }

  private mutating func checkScript(_ path: ByteText, _ what: String, _ route: AliasRoute, _ server: UInt) {
    guard path.bytes.first == Ascii.slash else { return }
    var credentials = embeddedCredentials
    switch route {
    case .missing: return
    case .open: credentials = nil
    case .embedded: break
    case .daemon(let index):
      let group = configuration.groups[index]
      if let root = group.changedRoot {
        checkInside(path, what, group, root, server)
        return
      }
      credentials = self.credentials(of: group)
    }
    let isDirectory = path.bytes.last == Ascii.slash
    guard let obstacle = system.obstacle(to: path, for: credentials, isPassed: isDirectory) else { return }
    warn(307, server: server, "\(what) leads to \(path), but \(obstacle.text(for: credentials)).")
  }

  /// Inside the new root the same path has to lead to the script, whose name is given from outside.
  private mutating func checkInside(_ path: ByteText, _ what: String, _ group: GroupConfig, _ root: ChangedRoot, _ server: UInt) {
    guard root.prefixLength(of: path.bytes.span) == nil else { return }
    warn(
      307, server: server,
      "\(what) leads to \(path), which is outside the chroot=\(ByteText(root.path)) of the process group '\(group.name)'. "
        + "Put the script below that directory.")
  }

  /// WSGI0308 and WSGI0309: `home` and `python-path`.
  private mutating func checkDirectories(of group: GroupConfig) {
    // What a template's depend on is not known yet.
    if group.template != nil { return }
    let credentials = credentials(of: group)
    if let home = group.settings.engine.home.map({ ByteText($0) }),
      let obstacle = system.obstacle(to: inRoot(home, group), for: credentials)
    {
      warn(308, server: group.server.id, "The \(group.title) has home=\(home), but \(obstacle.text(for: credentials)).")
    }
    for entry in group.settings.engine.interpreter.pythonPath.map({ ByteText($0).split(Ascii.colon) }) ?? []
    where entry.bytes.first == Ascii.slash {
      guard let obstacle = system.obstacle(to: inRoot(entry, group), for: credentials) else { continue }
      warn(
        309, server: group.server.id,
        "The \(group.title) has an unusable python-path= entry: \(obstacle.text(for: credentials)).")
    }
  }

  func inRoot(_ path: ByteText, _ group: GroupConfig) -> ByteText { group.changedRoot?.outside(path) ?? path }

  /// Whom httpd children run as.
  var embeddedCredentials: FileCredentials? {
    guard let user = system.user else { return nil }
    return FileCredentials(name: user.name.description, uid: user.uid, groups: [system.group ?? user.gid] + system.groups(user))
  }

  /// Whom a group's processes run as.
  func credentials(of group: GroupConfig) -> FileCredentials? {
    guard group.template?.runsAsOwner != true, let user = group.user ?? system.user else { return nil }
    let primary = group.group ?? system.group ?? user.gid
    return FileCredentials(
      name: user.name.description, uid: user.uid, groups: [primary] + (group.supplementaryGroups ?? system.groups(user)))
  }
}
