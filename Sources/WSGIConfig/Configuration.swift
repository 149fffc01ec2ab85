import WSGICore

/// A configuration as it is put to use: built once it has been read to its end, constant from then on, and read by all
/// threads of a process.
public final class Configuration: Sendable {
  public let global: GlobalConfig
  public let servers: [ConfiguredServer]
  /// As `global.groups`, each server with its final name.
  public let groups: [GroupConfig]
  /// For each group, whether all that leads to it is one application.
  public let servesSingleApplication: [Bool]
  let groupUse: [GroupUse]
  private let groupNames: [[UInt8]]
  /// Application groups and hosts that the configuration names: a request that uses one brings nothing new into being.
  let fixedNames: Set<[UInt8]>
  /// WSGICaseSensitivity is Off.
  public let isCaseInsensitive: Bool

  /// - servers: all of them, the main one with id 0; virtual hosts already merged with it.
  public init(global: GlobalConfig, servers: [ConfiguredServer]) {
    self.global = global
    self.servers = servers
    groups = global.groups.map { group in
      var group = group
      if let server = servers.first(where: { $0.identity.id == group.server.id }) { group.server.name = server.identity.name }
      return group
    }
    groupNames = global.groups.map(\.name.bytes)
    groupUse = GroupUse.all(global: global, servers: servers)
    servesSingleApplication = groupUse.map(\.isSingleApplication)
    fixedNames = Configuration.fixedNames(global, servers)
    isCaseInsensitive = global.caseSensitivity == false
  }

  private static func fixedNames(_ global: GlobalConfig, _ servers: [ConfiguredServer]) -> Set<[UInt8]> {
    var names = Set(global.imports.map(\.applicationGroup))
    names.formUnion(global.engine.interpreterOptions.compactMap(\.applicationGroup))
    names.formUnion(global.applicationGroups)
    names.formUnion(global.handlerScripts.compactMap { $0.options.applicationGroup?.fixedName })
    names.formUnion(global.serviceScripts.compactMap { $0.applicationGroup.fixedName })
    for server in servers {
      names.formUnion(server.config.aliases.compactMap { $0.options.applicationGroup?.fixedName })
      for host in server.aliases.map({ ByteText($0) }) + [server.identity.name].compactMap({ $0 }) {
        var name = host.bytes
        HostName.normalize(&name)
        names.insert(name)
      }
    }
    return names
  }

  /// The places of the groups that can be made of the template in a place: behind all that are declared. Empty: it is none.
  public func tenantPlaces(of place: Int) -> Range<Int> {
    let counts = groups.map { $0.template?.maximumGroups ?? 0 }
    guard counts.indices.contains(place) else { return 0..<0 }
    let first = groups.count + counts[..<place].reduce(0, +)
    return first..<first + counts[place]
  }

  public var tenantCount: Int { groups.reduce(0) { $0 + ($1.template?.maximumGroups ?? 0) } }

  /// Where a name leads, for requests of `server`.
  public func processGroup(named name: [UInt8], for server: ServerIdentity) -> ProcessGroupLookup {
    guard !name.isEmpty else { return .embedded }
    // The names stand by themselves: going through the groups would copy each on the way.
    guard let index = groupNames.firstIndex(of: name) else { return .unknown }
    return isVisible(groups[index].server, to: server) ? .daemon(index) : .notVisible
  }

  /// A group of the main server is everybody's; that of a virtual host is its own, and its namesakes' on other ports.
  private func isVisible(_ owner: ServerIdentity, to server: ServerIdentity) -> Bool {
    guard owner.isVirtual, owner.id != server.id else { return true }
    guard let name = owner.name else { return false }
    return name == server.name
  }
}

/// A server and what is configured for it.
public struct ConfiguredServer: Sendable {
  public let identity: ServerIdentity
  public let config: ServerConfig
  /// The addresses it answers, as `<VirtualHost>` has them, and its ServerAlias names; diagnostics alone look at them.
  public let addresses: [String]
  public let aliases: [String]
  public let location: ConfigLocation?

  public init(
    identity: ServerIdentity, config: ServerConfig, addresses: [String] = [], aliases: [String] = [],
    location: ConfigLocation? = nil
  ) {
    self.identity = identity
    self.config = config
    self.addresses = addresses
    self.aliases = aliases
    self.location = location
  }
}

/// Where a request may run.
public enum ProcessGroupLookup: Equatable, Sendable {
  case embedded
  /// The group's place in `Configuration.groups`.
  case daemon(Int)
  /// WSGIRestrictProcess does not list it (WSGI0149).
  case restricted
  /// No such group (WSGI0150).
  case unknown
  /// It belongs to another virtual host (WSGI0152).
  case notVisible
}

extension Configuration {
  /// Why the configuration cannot be put to use, and the server whose log says so. Only the whole configuration shows these
  /// mistakes: the order of its lines means nothing.
  public var refusals: [(message: String, server: UInt)] {
    global.imports.compactMap { script in
      servers.first { $0.identity.id == script.server }.flatMap { refusal(of: script, for: $0.identity) }
    }
  }

  /// WSGI0620: a script that is loaded at start, by a process group that is not there or belongs to another virtual host.
  private func refusal(of script: ImportScript, for server: ServerIdentity) -> (message: String, server: UInt)? {
    let name = ByteText(script.processGroup)
    switch processGroup(named: script.processGroup, for: server) {
    case .daemon(let index) where groups[index].template != nil && !script.isPreload:
      return (
        "WSGI0620: WSGIImportScript cannot load a script into '\(name)' (\(script.location)): that is a template, whose groups"
          + " are made for scripts of their own. Name a group of WSGIDaemonProcess.",
        server.id
      )
    case .embedded, .daemon, .restricted: return nil
    case .unknown:
      let near = closest(to: name.description, among: groups.map(\.name.description))
      let hint = near.map { " Did you mean '\($0)'?" } ?? " Define it, or use another group."
      return (
        "WSGI0620: WSGI process group not yet configured. No WSGIDaemonProcess defines '\(name)', which "
          + "\(script.location) refers to.\(hint)",
        server.id
      )
    case .notVisible:
      let owner = groups.first { $0.name == name }
      return (
        "WSGI0620: WSGI process group not accessible. '\(name)', which \(script.location) uses, belongs to the virtual "
          + "host '\(owner?.server.name?.description ?? "")' (\(owner.map(\.location.description) ?? "")), this is "
          + "'\(server.name?.description ?? "")'. Declare it in the main server to share it.",
        server.id
      )
    }
  }
}
