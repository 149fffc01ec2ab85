import CHTTPD
import Glibc
import WSGIConfig
import WSGICore

/// One reading of the configuration, from `post_config` until httpd throws it away at a restart or its end.
///
/// Made in the parent; httpd's children inherit it by fork and read it on all their threads.
final class Generation: @unchecked Sendable {  // constant once httpd has children
  let configuration: Configuration
  let mainServer: OpaquePointer
  /// The pool that httpd keeps the configuration in; what belongs to the generation is tied to it.
  let pool: OpaquePointer
  /// The process groups; nil where none is declared.
  var daemons: (any DaemonGroups)?

  /// SAFETY: written by the parent's main thread while there are no other threads, in post_config and the pool's cleanup.
  nonisolated(unsafe) private(set) static var current: Generation?

  private init(_ configuration: Configuration, _ mainServer: OpaquePointer, _ pool: OpaquePointer) {
    self.configuration = configuration
    self.mainServer = mainServer
    self.pool = pool
  }

  /// Puts to use what has been read.
  static func begin(_ mainServer: OpaquePointer, _ pool: OpaquePointer) {
    let servers = ConfiguredServer.all(from: mainServer, pool)
    let configuration = Configuration(global: ConfigurationReading.global.value, servers: servers)
    current = Generation(configuration, mainServer, pool)
    wsgi_httpd_watch_configuration(pool)
  }

  static func end() { current = nil }

  /// The settings of the engine in httpd's children, encoded.
  var embeddedSettings: [UInt8] {
    let facts = wsgi_httpd_get_facts()
    var settings = configuration.global.embeddedSettings(ServerFacts(facts))
    settings.addServer(facts)
    return settings.encoded
  }
}

extension ServerFacts {
  init(_ facts: wsgi_httpd_facts) {
    self.init(
      processes: Int(facts.maximum_processes), threads: Int(facts.maximum_threads),
      isSingleProcess: wsgi_httpd_is_single_process() != 0)
  }
}

extension SettingsPairs {
  /// What engines tell applications of httpd.
  mutating func addServer(_ facts: wsgi_httpd_facts) {
    set(EngineSettings.apacheVersion, "\(facts.major).\(facts.minor).\(facts.patch)")
    set(EngineSettings.apacheDescription, ByteText(facts.description))
    set(EngineSettings.apacheBuilt, ByteText(facts.built))
    set(EngineSettings.mpmName, ByteText(facts.mpm))
    set(EngineSettings.mpmProcesses, "\(facts.maximum_processes)")
    set(EngineSettings.mpmThreads, "\(facts.maximum_threads)")
  }
}

extension ConfiguredServer {
  /// All servers, the main one first. Each gets its identity, which names it to the configuration.
  static func all(from mainServer: OpaquePointer, _ pool: OpaquePointer) -> [ConfiguredServer] {
    var servers: [ConfiguredServer] = []
    var next: OpaquePointer? = mainServer
    while let server = next {
      next = wsgi_httpd_next_server(server)
      guard let object = ServerObject.of(server) else { continue }
      let identity = ServerIdentity(
        id: wsgi_httpd_server_is_virtual(server) == 0 ? 0 : UInt(bitPattern: server),
        name: wsgi_httpd_server_name(server).map { ByteText($0) })
      servers.append(ConfiguredServer(identity: identity, config: object.holder.value))
      object.identified(as: identity).install(on: server, pool)
    }
    return servers
  }
}

@c @implementation
func wsgi_swift_pre_config(_ pool: OpaquePointer) -> Int32 {
  ConfigurationReading.begin()
  return HookResult.ok
}

@c @implementation
func wsgi_swift_check_config(_ pool: OpaquePointer, _ mainServer: OpaquePointer) -> Int32 {
  // httpd reads the configuration twice when it starts; once is enough to say what is to be said.
  guard wsgi_httpd_is_dry_run() == 0 || wsgi_httpd_is_config_test() != 0 else { return HookResult.ok }
  for notice in ConfigurationReading.global.value.notices {
    log(notice.level == .warning ? .warning : .info, mainServer, notice.message)
  }
  return HookResult.ok
}

@c @implementation
func wsgi_swift_post_config(_ pool: OpaquePointer, _ mainServer: OpaquePointer) -> Int32 {
  guard wsgi_httpd_is_dry_run() == 0 else { return HookResult.ok }
  wsgi_httpd_add_version_component(pool, "mod_wsgi/6.1.1")
  if let version = EngineDirectory.preferredVersion {
    wsgi_httpd_add_version_component(pool, poolCopy("Python/\(version)", pool))
  }
  Generation.begin(mainServer, pool)
  return HookResult.ok
}

@c @implementation
func wsgi_swift_configuration_ended() { Generation.end() }
