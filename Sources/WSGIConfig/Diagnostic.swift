import WSGICore

/// Something in the configuration that httpd accepts and that will most likely not do what was meant.
public struct Diagnostic: Equatable, Sendable, CustomStringConvertible {
  /// Of the log line, `WSGI0300` and on.
  public let number: Int
  public let message: String
  /// The server whose log it belongs to.
  public let server: UInt
  /// It may well be what was meant: worth a line of level info.
  public var isRemark = false

  /// The line as the log has it.
  public var description: String { "WSGI0\(number): \(message)" }
}

/// System functions that diagnostics need, injected so that this room stays pure.
public struct SystemFacts {
  /// A file, and the content of a small one (nil: it cannot be read), as a process with these credentials sees them; nil: any.
  public var file: (ByteText, FileCredentials?) -> FileFacts = { _, _ in .unknown }
  public var content: (ByteText, FileCredentials?) -> [UInt8]? = { _, _ in nil }
  /// All groups of a user, as the system would give them to a process of the user.
  public var groups: (UserRecord) -> [UInt32] = { [$0.gid] }
  /// newlocale knows it.
  public var hasLocale: (ByteText) -> Bool = { _ in true }
  /// A wsgi-engine of that version ("3.11") is installed.
  public var hasEngine: (String) -> Bool = { _ in true }
  /// Why daemon processes cannot be executed, as a sentence without its end.
  public var workerProblem: String?
  /// Where engines were looked for, if there are none.
  public var missingEngines: String?
  /// httpd's `User` and `Group`.
  public var user: UserRecord?
  public var group: UInt32?
  public var mpm = ""
  /// The MPM's limit of processes (AP_MPMQ_MAX_DAEMONS).
  public var processLimit = 1

  public init() {}
}

/// Looks a configuration over. One use: `Diagnostics(configuration, system).run()`.
public struct Diagnostics {
  let configuration: Configuration
  let system: SystemFacts
  private(set) var found: [Diagnostic] = []

  public init(_ configuration: Configuration, _ system: SystemFacts) {
    self.configuration = configuration
    self.system = system
  }

  /// All warnings; none for a configuration that has nothing odd about it.
  public mutating func run() -> [Diagnostic] {
    checkAliases()
    checkGroups()
    checkScripts()
    checkPython()
    checkServers()
    return found
  }

  var global: GlobalConfig { configuration.global }

  mutating func warn(_ number: Int, server: UInt = 0, isRemark: Bool = false, _ message: String) {
    let diagnostic = Diagnostic(number: number, message: message, server: server, isRemark: isRemark)
    // The same path in two places is one fact.
    if !found.contains(diagnostic) { found.append(diagnostic) }
  }
}

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
          "\(alias.title) runs in embedded mode under the prefork MPM: up to \(system.processLimit) processes will each load the "
            + "application. Run it in a WSGIDaemonProcess, use the event MPM, or lower MaxRequestWorkers.")
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
