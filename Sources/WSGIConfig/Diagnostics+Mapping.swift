import WSGICore

// Checks of aliases and process groups.

extension Diagnostics {
  mutating func checkAliases() {
    for server in configuration.servers {
      let own = server.config.aliases.filter { $0.server == server.identity.id }
      for (index, alias) in own.enumerated() {
        checkReachable(alias, behind: own[..<index])
        checkRoute(alias, server)
      }
    }
  }

  /// WSGI0300: the first alias that matches wins, however short it is.
  private mutating func checkReachable(_ alias: ScriptAlias, behind earlier: ArraySlice<ScriptAlias>) {
    guard case .path(let path) = alias.pattern else { return }
    for before in earlier {
      guard case .path(let shorter) = before.pattern, AliasMatching.consumed(by: shorter.span, of: path.span) > 0 else {
        continue
      }
      // The same line twice, from a file that is included twice: it makes no difference which of them is reached.
      if before.leadsTheSameWay(as: alias) { return }
      warn(
        300, server: alias.server,
        "\(alias.title) is never reached: \(before.title) precedes it and matches the same URLs. Put the longer path first.")
      return
    }
  }

  private mutating func checkRoute(_ alias: ScriptAlias, _ server: ConfiguredServer) {
    // A dispatch script may choose another group.
    guard !global.hasDispatchScript else { return }
    switch global.route(of: alias, in: server) {
    case .open: break
    case .embedded:
      guard global.restrictEmbedded == true else { return }
      warn(
        302, server: alias.server,
        "\(alias.title) runs in embedded mode, which WSGIRestrictEmbedded On forbids: "
          + "every request will get 500. Set process-group= or WSGIProcessGroup.")
    case .missing(let name):
      warn(
        301, server: alias.server,
        "\(alias.title) leads to the process group '\(ByteText(name))', which no "
          + "WSGIDaemonProcess defines: every request will get 500.\(suggestion(for: name))")
    case .daemon(let index):
      let group = configuration.groups[index]
      if configuration.processGroup(named: group.name.bytes, for: server.identity) == .notVisible {
        warn(
          303, server: alias.server,
          "\(alias.title) leads to the process group '\(group.name)', which belongs to "
            + "another virtual host (\(group.location)): every request will get 500. Define the group in the main server.")
      }
      if group.template?.key == .host, !alias.target.contains(Ascii.dollar),
        (server.aliases + [server.identity.name?.description ?? ""]).contains(where: { $0.contains("*") || $0.contains("?") })
      {
        warn(
          729, server: alias.server,
          "\(alias.title) leads one script to the template '\(group.name)' (\(group.location)), whose key=%{HOST} makes a process"
            + " group of each name that the wildcard covers: clients can start as many as max-groups allows. Use key=%{SERVER}.")
      }
      if group.settings.engine.isService {
        warn(
          304, server: alias.server,
          "\(alias.title) leads to the process group '\(group.name)', which has "
            + "threads=0 (\(group.location)) and serves no requests. Give it threads, or choose another group.")
      }
    }
  }

  private func suggestion(for name: [UInt8]) -> String {
    let near = closest(to: ByteText(name).description, among: configuration.groups.map(\.name.description))
    return near.map { " Did you mean '\($0)'?" } ?? ""
  }

  /// All aliases that a WSGIProcessGroup stands for name groups of their own.
  private func isOverruled(_ reference: GroupReference, _ name: [UInt8]) -> Bool {
    var isFound = false
    for server in configuration.servers {
      for alias in server.config.aliases {
        let isCovered =
          reference.path == nil ? reference.server == 0 || reference.server == server.identity.id : reference.covers(alias)
        guard isCovered else { continue }
        if global.route(of: alias, in: server) == .missing(name) { return false }
        isFound = true
      }
    }
    return isFound
  }

  /// WSGI0710: what requests alone name cannot be imported beforehand.
  private mutating func checkPreloading(_ group: GroupConfig) {
    guard group.preloads else { return }
    let scripts = global.imports.filter { $0.processGroup == group.name.bytes }
    let why: String
    if group.template != nil {
      guard !usesMainInterpreter else { return }
      why =
        "nothing in the server's configuration has scripts run in the main interpreter. Set WSGIApplicationGroup %{GLOBAL} where"
        + " its scripts are, or application-group=%{GLOBAL} in their alias."
    } else if group.settings.engine.isService {
      why = "with threads=0 its scripts run while they are imported. Remove the option."
    } else if !scripts.contains(where: \.applicationGroup.isEmpty) {
      why =
        "the configuration names no script that its processes import into the main interpreter. Give an alias or a"
        + " WSGIImportScript process-group=\(group.name) application-group=%{GLOBAL}."
    } else {
      return
    }
    warn(710, server: group.server.id, "preload=On has no effect for the \(group.title): \(why)")
  }

  /// Some requests may run in main interpreters, as far as the server's configuration tells.
  private var usesMainInterpreter: Bool {
    global.usesMainInterpreter
      || (configuration.servers.flatMap { $0.config.aliases.map(\.options) } + global.handlerScripts.map(\.options)).contains {
        $0.applicationGroup?.mayBeMainInterpreter == true
      }
  }

  /// WSGI0730: with one process there is nothing for sessions to choose from.
  private mutating func checkSessions(_ group: GroupConfig) {
    if let sessions = group.stickySessions, group.settings.processes == 1 || group.settings.engine.isService {
      let why = group.settings.engine.isService ? "with threads=0 it serves no requests" : "it has one process at most"
      warn(
        730, server: group.server.id,
        "\(sessions.option) has no effect for the \(group.title): \(why). Give it more than one process, or remove the option.")
    } else if group.stickySessions == nil, group.stickyWait != GroupConfig.standardStickyWait {
      warn(
        731, server: group.server.id,
        "sticky-wait= has no effect for the \(group.title) without sticky-cookie= or sticky-header=. Add one, or remove it."
      )
    }
  }

  mutating func checkGroups() {
    for reference in global.references {
      guard let name = reference.name.fixedName, !name.isEmpty, global.groupIndex(named: name) == nil,
        !ByteText(name).contains("%{"), !global.hasDispatchScript, !isOverruled(reference, name)
      else { continue }
      warn(
        301, server: reference.server,
        "WSGIProcessGroup \(ByteText(name)) (\(reference.location)) names a process group that no WSGIDaemonProcess defines: "
          + "requests will get 500.\(suggestion(for: name))")
    }
    for (index, group) in configuration.groups.enumerated() {
      let use = configuration.groupUse[index]
      checkPreloading(group)
      checkSessions(group)
      if !use.isReferred, !use.isOpen {
        warn(
          305, server: group.server.id,
          "The \(group.title) is not used by any directive and only costs memory. Name it in "
            + "WSGIProcessGroup or in the process-group= of an alias, or remove it.")
      }
      if let locale = group.settings.locale.map({ ByteText($0) }), !system.hasLocale(locale) {
        warn(
          306, server: group.server.id,
          "The \(group.title) has locale=\(locale), which does not exist on this system. "
            + "`locale -a` lists those available; C.UTF-8 is always a good choice.")
      }
    }
  }
}
