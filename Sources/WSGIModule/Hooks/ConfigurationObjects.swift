import CHTTPD
import WSGIConfig

// The objects that httpd keeps for servers and directory sections. Each belongs to the pool it was made in, and goes with it.

typealias DirectoryBox = Box<DirectoryConfig>

/// httpd's pointer for a server: its configuration and, once all of that has been read, its identity.
final class ServerObject: @unchecked Sendable {  // constant once httpd serves requests
  let box: Box<ServerConfig>
  let identity: ServerIdentity

  init(_ box: Box<ServerConfig>, identity: ServerIdentity = .main) {
    self.box = box
    self.identity = identity
  }

  /// Borrowed from the server's pool.
  static func of(_ server: OpaquePointer) -> ServerObject? {
    wsgi_httpd_server_config(server).map { Unmanaged<ServerObject>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Gives all servers objects that know who they are. A virtual host that says nothing of its own has shared the main
  /// server's object until now.
  static func identifyAll(from mainServer: OpaquePointer, _ pool: OpaquePointer) {
    for server in allServers(from: mainServer) {
      guard let object = ServerObject.of(server) else { continue }
      wsgi_httpd_set_server_config(server, own(ServerObject(object.box, identity: ServerIdentity(server)), pool))
    }
  }
}

/// The main server and all virtual hosts, in the order of the configuration: httpd has the virtual hosts from the last to
/// the first.
private func allServers(from mainServer: OpaquePointer) -> [OpaquePointer] {
  var virtual: [OpaquePointer] = []
  var next = wsgi_httpd_next_server(mainServer)
  while let server = next {
    virtual.append(server)
    next = wsgi_httpd_next_server(server)
  }
  return [mainServer] + virtual.reversed()
}

extension ServerIdentity {
  /// The same for a server whenever it is asked for while one configuration is in use.
  init(_ server: OpaquePointer) {
    self.init(
      id: wsgi_httpd_server_is_virtual(server) == 0 ? 0 : UInt(bitPattern: server),
      name: wsgi_httpd_server_name(server).map { ByteText($0) })
  }
}

extension ConfiguredServer {
  /// All servers, the main one first, as the configuration is to see them.
  static func all(from mainServer: OpaquePointer) -> [ConfiguredServer] {
    allServers(from: mainServer).compactMap { server in
      guard let object = ServerObject.of(server) else { return nil }
      let isVirtual = wsgi_httpd_server_is_virtual(server) != 0
      var line: UInt32 = 0
      let file = wsgi_httpd_server_file(server, &line).map { String(cString: $0) }
      return ConfiguredServer(
        identity: ServerIdentity(server), config: object.box.value, addresses: isVirtual ? addresses(of: server) : [],
        aliases: names(of: server), location: file.map { ConfigLocation(file: $0, line: Int(line)) })
    }
  }

  private static func addresses(of server: OpaquePointer) -> [String] {
    var found: [String] = []
    var port: UInt32 = 0
    while let address = wsgi_httpd_server_address(server, UInt32(found.count), &port) {
      found.append(String(cString: address) + (port == 0 ? ":*" : ":\(port)"))
    }
    return found
  }

  private static func names(of server: OpaquePointer) -> [String] {
    var found: [String] = []
    while let name = wsgi_httpd_server_alias(server, UInt32(found.count)) { found.append(String(cString: name)) }
    return found
  }
}

/// The configuration being read, from `pre_config` until `post_config` has made a `Generation` of it.
///
/// It is touched on the parent's main thread alone: httpd reads its configuration there before it starts any child.
enum PendingConfiguration {
  nonisolated(unsafe) static var global = Box(GlobalConfig())

  static func begin() { global = Box(GlobalConfig()) }

  /// The configuration, once it has been read completely.
  static func configuration(_ mainServer: OpaquePointer) -> Configuration {
    Configuration(global: global.value, servers: ConfiguredServer.all(from: mainServer))
  }
}

/// The configuration of a directory section, or of all that apply to a request; borrowed from its pool.
func directoryBox(_ object: UnsafeMutableRawPointer?) -> DirectoryBox? {
  object.map { Unmanaged<DirectoryBox>.fromOpaque($0).takeUnretainedValue() }
}

/// Gives an object to a pool.
private func own<T: AnyObject>(_ object: T, _ pool: OpaquePointer) -> UnsafeMutableRawPointer {
  let pointer = Unmanaged.passRetained(object).toOpaque()
  wsgi_httpd_at_pool_end(pool, pointer) { object in
    if let object { Unmanaged<AnyObject>.fromOpaque(object).release() }
    return HookResult.ok
  }
  return pointer
}

@c @implementation
func wsgi_swift_create_server_config(_ pool: OpaquePointer, _ server: OpaquePointer?) -> UnsafeMutableRawPointer? {
  own(ServerObject(Box(ServerConfig())), pool)
}

@c @implementation
func wsgi_swift_merge_server_config(
  _ pool: OpaquePointer, _ base: UnsafeMutableRawPointer?, _ added: UnsafeMutableRawPointer?
) -> UnsafeMutableRawPointer? {
  guard let base, let added else { return base ?? added }
  let main = Unmanaged<ServerObject>.fromOpaque(base).takeUnretainedValue().box
  let virtual = Unmanaged<ServerObject>.fromOpaque(added).takeUnretainedValue().box
  return own(ServerObject(Box(ServerConfig.merge(main.value, virtual.value))), pool)
}

@c @implementation
func wsgi_swift_create_directory_config(
  _ pool: OpaquePointer, _ directory: UnsafeMutablePointer<CChar>?
) -> UnsafeMutableRawPointer? {
  own(DirectoryBox(DirectoryConfig()), pool)
}

/// httpd merges the sections that apply to a request for each request anew.
@c @implementation
func wsgi_swift_merge_directory_config(
  _ pool: OpaquePointer, _ base: UnsafeMutableRawPointer?, _ added: UnsafeMutableRawPointer?
) -> UnsafeMutableRawPointer? {
  guard let base, let added else { return base ?? added }
  let outer = Unmanaged<DirectoryBox>.fromOpaque(base).takeUnretainedValue()
  let inner = Unmanaged<DirectoryBox>.fromOpaque(added).takeUnretainedValue()
  // Nothing on one side: the other side's object serves, and outlives the merged one as httpd's base configuration does.
  if outer.value.isEmpty { return added }
  if inner.value.isEmpty { return base }
  return own(DirectoryBox(DirectoryConfig.merge(outer.value, inner.value)), pool)
}
