// Checks of the server around the applications.

extension Diagnostics {
  mutating func checkServers() {
    checkPrefork()
    checkFirstVirtualHosts()
  }

  /// WSGI0312: each process of prefork has its own copy of every embedded application, and serves one request with it.
  private mutating func checkPrefork() {
    guard system.mpm == "prefork", system.processLimit >= 150 else { return }
    for server in configuration.servers {
      for alias in server.config.aliases where alias.server == server.identity.id {
        guard global.route(of: alias, in: server) == .embedded else { continue }
        warn(
          312,
          "WSGIScriptAlias \(alias.source) (\(alias.location)) runs in embedded mode under the prefork MPM: up to "
            + "\(system.processLimit) processes will each load the application. Run it in a WSGIDaemonProcess, use the event "
            + "MPM, or lower MaxRequestWorkers.")
        return
      }
    }
  }

  /// WSGI0313: of several virtual hosts on an address, the first answers for names that none of them has. Most configurations are
  /// so, and few administrators mind.
  private mutating func checkFirstVirtualHosts() {
    var seen: [String: (first: ConfiguredServer, count: Int)] = [:]
    for server in configuration.servers where server.identity.isVirtual {
      // httpd has an address for each protocol that `*` and host names stand for.
      for address in Set(server.addresses) {
        if let known = seen[address] {
          seen[address] = (known.first, known.count + 1)
        } else {
          seen[address] = (server, 1)
        }
      }
    }
    for (address, (first, count)) in seen.sorted(by: { $0.key < $1.key }) {
      guard count > 1, !first.aliases.contains("*") else { continue }
      guard let alias = first.config.aliases.first(where: { $0.server == first.identity.id }) else { continue }
      let name = first.identity.name?.description ?? "without a ServerName"
      let place = first.location.map { " (\($0))" } ?? ""
      warn(
        313, server: first.identity.id, isRemark: true,
        "The virtual host \(name)\(place) is the first on \(address): WSGIScriptAlias \(alias.source) also serves every host "
          + "name that no other virtual host there has. Put a virtual host without applications before it, or set "
          + "ServerAlias * if this is intended."
      )
    }
  }
}
