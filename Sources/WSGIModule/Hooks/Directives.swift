import CHTTPD
import Glibc
import WSGIConfig

// httpd's reading of the configuration: the directive table, and what each directive changes.

@c @implementation
func wsgi_swift_register_directives() {
  for (index, directive) in Directive.table.enumerated() {
    // SAFETY: a StaticString ends in a NUL byte and lives as long as the image.
    let name = UnsafeRawPointer(directive.name.utf8Start).assumingMemoryBound(to: CChar.self)
    let usage = UnsafeRawPointer(directive.usage.utf8Start).assumingMemoryBound(to: CChar.self)
    wsgi_httpd_add_directive(name, usage, directive.context.overrideBits, UInt32(truncatingIfNeeded: index))
  }
}

@c @implementation
func wsgi_swift_directive(
  _ command: OpaquePointer, _ directoryConfig: UnsafeMutableRawPointer?, _ index: UInt32, _ arguments: UnsafePointer<CChar>
) -> UnsafePointer<CChar>? {
  let place = wsgi_httpd_describe_command(command)
  do throws(ConfigError) {
    try apply(Int(index), to: command, at: place, directoryConfig, ByteText(arguments))
    return nil
  } catch {
    return UnsafePointer(poolCopy(error.message, place.pool))
  }
}

private func apply(
  _ index: Int, to command: OpaquePointer, at place: wsgi_httpd_command, _ directoryConfig: UnsafeMutableRawPointer?,
  _ arguments: ByteText
) throws(ConfigError) {
  guard Directive.table.indices.contains(index), let server = ServerObject.of(place.server) else { return }
  let directive = Directive.table[index]
  let isAccessFile = place.is_htaccess != 0
  var parse = ConfigParse(
    location: ConfigLocation(file: String(cString: place.file), line: Int(place.line)),
    server: ServerIdentity(place.server),
    path: place.path.map { ByteText($0) }, isAccessFile: isAccessFile, environment: environment(of: place),
    // A request's thread reads .htaccess files: it may not touch what all share.
    global: isAccessFile ? Box(GlobalConfig()) : PendingConfiguration.global,
    serverConfig: server.box, directoryConfig: directoryBox(directoryConfig) ?? Box(DirectoryConfig()))
  if directive.isSection {
    try directive.apply(arguments, to: &parse)
    defer { parse.closeInterpreterOptions() }
    // Only what can be said of some interpreters may stand in `<WSGIInterpreterOptions>`, of whichever module it is.
    for nested in place.directive.flatMap({ TreeDirective($0).firstChild }).map({ Array($0.chain) }) ?? [] {
      try Directive.checkScopable(nested.name.description)
    }
    if let refusal = wsgi_httpd_walk_section(command) { throw ConfigError(String(cString: refusal)) }
  } else {
    try directive.apply(arguments, to: &parse)
  }
}

/// The system as directives see it. Regular expressions live as long as this reading of the configuration.
private func environment(of place: wsgi_httpd_command) -> ParseEnvironment {
  let pool = place.pool
  var system = ParseEnvironment()
  system.isRoot = geteuid() == 0
  system.userNamed = { name in withCString(name) { getpwnam($0) }.map(UserRecord.init(entry:)) }
  system.userWithID = { id in getpwuid(id).map(UserRecord.init(entry:)) }
  system.groupNamed = { name in withCString(name) { getgrnam($0) }?.pointee.gr_gid }
  system.hasGroupWithID = { getgrgid($0) != nil }
  system.compileRegex = { source in withCString(source) { wsgi_httpd_compile(pool, $0) }.map { RegexHandle(bitPattern: $0) } }
  system.supplementaryGroupLimit = max(0, sysconf(Int32(_SC_NGROUPS_MAX)))
  return system
}

extension UserRecord {
  init(entry: UnsafeMutablePointer<passwd>) {
    self.init(
      name: entry.pointee.pw_name.map { ByteText($0) } ?? "", uid: entry.pointee.pw_uid, gid: entry.pointee.pw_gid,
      home: entry.pointee.pw_dir.map { ByteText($0) } ?? "")
  }
}

/// A directive in httpd's tree of the configuration, which lives as long as the configuration's reading.
struct TreeDirective: WrittenDirective {
  private let directive: wsgi_httpd_directive

  init(_ pointer: UnsafeRawPointer) { directive = wsgi_httpd_read_directive(pointer) }

  private init?(ifAny pointer: UnsafeRawPointer?) {
    guard let pointer else { return nil }
    self.init(pointer)
  }

  /// The first directive of the server's configuration.
  static var first: TreeDirective? { TreeDirective(ifAny: wsgi_httpd_configuration_tree()) }

  var name: ByteText { ByteText(directive.name) }
  var arguments: ByteText { ByteText([UInt8](rawBytes(of: directive.arguments))) }
  var file: ByteText? { directive.file.map { ByteText($0) } }
  var line: UInt32 { directive.line }
  var next: TreeDirective? { TreeDirective(ifAny: directive.next) }
  var firstChild: TreeDirective? { TreeDirective(ifAny: directive.first_child) }
  var parent: TreeDirective? { TreeDirective(ifAny: directive.parent) }
}

@c @implementation
func wsgi_swift_is_denial_safe(_ directive: UnsafeRawPointer) -> Int32 { TreeDirective(directive).isDenialSafe ? 1 : 0 }
