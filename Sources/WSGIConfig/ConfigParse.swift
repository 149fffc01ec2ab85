import WSGICore

/// A directive being applied: where it stands, what it may ask, and the values it fills in.
public struct ConfigParse {
  public var location: ConfigLocation
  /// Names the server_rec among all of this configuration, the same for every directive of it.
  public var server: ServerIdentity
  /// The path of the enclosing directory-type section; nil at server level.
  public var path: ByteText?
  /// The line stands in an `.htaccess` file (httpd's override has neither RSRC_CONF nor ACCESS_CONF).
  public var isAccessFile: Bool
  public var environment: ParseEnvironment

  public let global: Box<GlobalConfig>
  public let serverConfig: Box<ServerConfig>
  /// Only used where `path` is set.
  public let directoryConfig: Box<DirectoryConfig>

  public init(
    location: ConfigLocation, server: ServerIdentity, path: ByteText?, isAccessFile: Bool, environment: ParseEnvironment,
    global: Box<GlobalConfig>, serverConfig: Box<ServerConfig>, directoryConfig: Box<DirectoryConfig>
  ) {
    self.location = location
    self.server = server
    self.path = path
    self.isAccessFile = isAccessFile
    self.environment = environment
    self.global = global
    self.serverConfig = serverConfig
    self.directoryConfig = directoryConfig
  }

  /// The settings of the scope that the directive stands in: those of the directory section, else those of the server.
  var scope: ScopeSettings {
    get { path == nil ? serverConfig.value.scope : directoryConfig.value.scope }
    nonmutating set {
      if path == nil { serverConfig.value.scope = newValue } else { directoryConfig.value.scope = newValue }
    }
  }

  /// Keeps a line for the log; `.htaccess` files, read for each request, give none.
  func note(_ level: LogLevel, _ message: String) {
    guard !isAccessFile else { return }
    global.value.notices.append((level, message))
  }
}
