/// Why a request is not run: what the client gets and what the log says.
public struct Refusal: Error, Equatable, Sendable {
  public let status: Int32
  /// Begins with the message's number.
  public let message: String
  /// It is the client's doing alone, and nothing that an administrator must see.
  public let isRoutine: Bool

  public init(_ status: Int32, _ message: String, isRoutine: Bool = false) {
    self.status = status
    self.message = message
    self.isRoutine = isRoutine
  }
}

extension ProcessGroupLookup {
  /// Why a request for a process group of that name is not run; nil: it is.
  public func refusal(of name: @autoclosure () -> [UInt8]) -> Refusal? {
    switch self {
    case .embedded, .daemon: nil
    case .restricted:
      Refusal(500, "WSGI0149: Process group '\(ByteText(name()))' is not allowed here by WSGIRestrictProcess.")
    case .unknown: Refusal(500, "WSGI0150: No WSGI daemon process called '\(ByteText(name()))' has been configured.")
    case .notVisible:
      Refusal(500, "WSGI0152: Daemon process called '\(ByteText(name()))' cannot be accessed by this WSGI application.")
    }
  }
}

extension Configuration {
  /// Why a script that an `.htaccess` file names may not run in httpd's processes, as the end of a sentence; nil: it may. Auth,
  /// access and dispatch scripts run there, as httpd's user. That is not where a tenant's code belongs if the administrator has
  /// given it a process group, or has switched embedded mode off.
  ///
  /// - destination: where the requests of the place go by the administrator's configuration.
  public func obstacleToAccessFileScript(where destination: ProcessGroupLookup) -> String? {
    let remedy = "; name it in the server's configuration if it is to run in httpd's processes"
    if global.restrictEmbedded == true { return "WSGIRestrictEmbedded is On\(remedy)" }
    switch destination {
    case .embedded: return nil
    case .daemon(let index):
      let name = groups.indices.contains(index) ? groups[index].name.description : ""
      return "requests of its directory run in process group '\(name)'\(remedy)"
    case .restricted, .unknown, .notVisible: return "requests of its directory run in no process\(remedy)"
    }
  }
}
