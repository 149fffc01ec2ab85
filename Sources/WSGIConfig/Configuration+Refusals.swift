/// What can be told to be wrong only when the whole configuration has been read.
public struct ConfigRefusal: Equatable, Sendable {
  /// The line for the log.
  public let message: String
  /// The server whose log it belongs to.
  public let server: UInt
}

extension Configuration {
  /// Why the configuration cannot be put to use; none where it can. Where in the configuration a line stands means nothing here.
  public var refusals: [ConfigRefusal] {
    global.imports.compactMap { script in
      servers.first { $0.identity.id == script.server }.flatMap { refusal(of: script, for: $0.identity) }
    }
  }

  /// WSGI0620: a script that is loaded at start, by a process group that is not there or belongs to another virtual host.
  private func refusal(of script: ImportScript, for server: ServerIdentity) -> ConfigRefusal? {
    let name = ByteText(script.processGroup)
    switch processGroup(named: script.processGroup, for: server) {
    case .embedded, .daemon, .restricted: return nil
    case .unknown:
      let near = closest(to: name.description, among: groups.map(\.name.description))
      let hint = near.map { " Did you mean '\($0)'?" } ?? " Define it, or use another group."
      return ConfigRefusal(
        message: "WSGI0620: WSGI process group not yet configured. No WSGIDaemonProcess defines '\(name)', which "
          + "\(script.location) refers to.\(hint)",
        server: server.id)
    case .notVisible:
      let owner = groups.first { $0.name == name }
      return ConfigRefusal(
        message: "WSGI0620: WSGI process group not accessible. '\(name)', which \(script.location) uses, belongs to the virtual "
          + "host '\(owner?.server.name?.description ?? "")' (\(owner.map(\.location.description) ?? "")), this is "
          + "'\(server.name?.description ?? "")'. Declare it in the main server to share it.",
        server: server.id)
    }
  }
}
