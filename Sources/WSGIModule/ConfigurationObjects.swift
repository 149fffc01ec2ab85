import CHTTPD
import WSGIConfig

// The objects that httpd keeps for servers and directory sections. Each belongs to the pool it was made in, and goes with it.

typealias DirectoryHolder = Holder<DirectoryConfig>

/// What httpd keeps for a server: what is configured for it and, once the configuration has been read, who it is.
final class ServerObject: @unchecked Sendable {  // constant once httpd serves requests
  let holder: Holder<ServerConfig>
  let identity: ServerIdentity

  init(_ holder: Holder<ServerConfig>, identity: ServerIdentity = .main) {
    self.holder = holder
    self.identity = identity
  }

  /// Borrowed from the server's pool.
  static func of(_ server: OpaquePointer) -> ServerObject? {
    wsgi_httpd_server_config(server).map { Unmanaged<ServerObject>.fromOpaque($0).takeUnretainedValue() }
  }

  /// A virtual host that says nothing of its own shares the main server's object, but not its identity.
  func identified(as identity: ServerIdentity) -> ServerObject { ServerObject(holder, identity: identity) }

  func install(on server: OpaquePointer, _ pool: OpaquePointer) { wsgi_httpd_set_server_config(server, own(self, pool)) }
}

/// The configuration being read, from `pre_config` until `post_config` has made a `Generation` of it.
///
/// It is touched on the parent's main thread alone: httpd reads its configuration there before it starts any child.
enum ConfigurationReading {
  nonisolated(unsafe) static var global = Holder(GlobalConfig())

  static func begin() { global = Holder(GlobalConfig()) }
}

/// What httpd has for a directory section, or all that apply to a request; borrowed from its pool.
func directoryHolder(_ object: UnsafeMutableRawPointer?) -> DirectoryHolder? {
  object.map { Unmanaged<DirectoryHolder>.fromOpaque($0).takeUnretainedValue() }
}

/// Gives an object to a pool.
private func own<T: AnyObject>(_ object: T, _ pool: OpaquePointer) -> UnsafeMutableRawPointer {
  let pointer = Unmanaged.passRetained(object).toOpaque()
  wsgi_httpd_own(pool, pointer)
  return pointer
}

@c @implementation
func wsgi_swift_release(_ object: UnsafeMutableRawPointer) {
  Unmanaged<AnyObject>.fromOpaque(object).release()
}

@c @implementation
func wsgi_swift_create_server_config(_ pool: OpaquePointer, _ server: OpaquePointer?) -> UnsafeMutableRawPointer? {
  own(ServerObject(Holder(ServerConfig())), pool)
}

@c @implementation
func wsgi_swift_merge_server_config(
  _ pool: OpaquePointer, _ base: UnsafeMutableRawPointer?, _ added: UnsafeMutableRawPointer?
) -> UnsafeMutableRawPointer? {
  guard let base, let added else { return base ?? added }
  let main = Unmanaged<ServerObject>.fromOpaque(base).takeUnretainedValue().holder
  let virtual = Unmanaged<ServerObject>.fromOpaque(added).takeUnretainedValue().holder
  return own(ServerObject(Holder(ServerConfig.merge(main.value, virtual.value))), pool)
}

@c @implementation
func wsgi_swift_create_directory_config(_ pool: OpaquePointer, _ directory: UnsafePointer<CChar>?) -> UnsafeMutableRawPointer? {
  own(DirectoryHolder(DirectoryConfig()), pool)
}

/// httpd merges the sections that apply to a request for each request anew.
@c @implementation
func wsgi_swift_merge_directory_config(
  _ pool: OpaquePointer, _ base: UnsafeMutableRawPointer?, _ added: UnsafeMutableRawPointer?
) -> UnsafeMutableRawPointer? {
  guard let base, let added else { return base ?? added }
  let outer = Unmanaged<DirectoryHolder>.fromOpaque(base).takeUnretainedValue()
  let inner = Unmanaged<DirectoryHolder>.fromOpaque(added).takeUnretainedValue()
  // Nothing on one side: the other side's object serves, and outlives the merged one as httpd's base configuration does.
  if outer.value.isEmpty { return added }
  if inner.value.isEmpty { return base }
  return own(DirectoryHolder(DirectoryConfig.merge(outer.value, inner.value)), pool)
}
