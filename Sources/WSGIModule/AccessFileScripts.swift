import WSGIConfig

/// Scripts that `.htaccess` files name. Auth, access and dispatch scripts run in httpd's own processes, as httpd's user. That is
/// not where a tenant's code belongs if the administrator has given it a process group, or has switched embedded mode off.
enum AccessFileScripts {
  /// Why such a script may not run in this process, as the end of a sentence; nil: it may.
  ///
  /// - destination: where the requests of the place go by the administrator's configuration.
  static func obstacle(where destination: ProcessGroupLookup) -> String? {
    let remedy = "; name it in the server's configuration if it is to run in httpd's processes"
    if Generation.current?.configuration.global.restrictEmbedded == true {
      return "WSGIRestrictEmbedded is On\(remedy)"
    }
    switch destination {
    case .embedded: return nil
    case .daemon(let index):
      let groups = Generation.current?.configuration.groups ?? []
      let name = groups.indices.contains(index) ? groups[index].name.description : ""
      return "requests of its directory run in process group '\(name)'\(remedy)"
    case .restricted, .unknown, .notVisible: return "requests of its directory run in no process\(remedy)"
    }
  }
}
