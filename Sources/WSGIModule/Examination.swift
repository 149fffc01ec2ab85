import CHTTPD
import Glibc
import WSGIConfig
import WSGICore

/// Has a configuration looked over, with the system's answers to what that asks.
enum Examination {
  static func report(_ configuration: Configuration, _ mainServer: OpaquePointer) {
    for notice in configuration.global.notices {
      log(notice.level == .warning ? .warning : .info, mainServer, notice.message)
    }
    var diagnostics = Diagnostics(configuration, SystemFacts.current)
    for diagnostic in diagnostics.run() {
      // A server's id is its address; 0 stands for the main one.
      let server = OpaquePointer(bitPattern: diagnostic.server) ?? mainServer
      log(diagnostic.isRemark ? .info : .warning, server, diagnostic.description)
    }
  }
}

extension SystemFacts {
  /// As things are on this machine, for a process that will be httpd's.
  static var current: SystemFacts {
    let facts = wsgi_httpd_get_facts()
    var userID: UInt32 = 0
    var groupID: UInt32 = 0
    _ = wsgi_httpd_user(&userID, &groupID)
    let engines = EngineDirectory.engines()
    return SystemFacts(
      file: { path in withCString(path) { file(at: $0) } },
      content: { path in EngineDirectory.text(of: path.description).map { [UInt8]($0.utf8) } },
      groups: groups(of:),
      hasLocale: hasLocale,
      hasEngine: { version in engines.contains { $0.description == version } },
      user: getpwuid(userID).map(UserRecord.init(entry:)), group: groupID,
      mpm: String(cString: facts.mpm), processLimit: Int(facts.maximum_processes))
  }

  private static func file(at path: UnsafePointer<CChar>) -> File {
    var about = stat()
    guard stat(path, &about) == 0 else { return errno == ENOENT || errno == ENOTDIR ? .missing : .unknown }
    if wsgi_httpd_has_access_list(path) != 0 { return .unknown }
    return .found(
      isDirectory: about.st_mode & S_IFMT == S_IFDIR, mode: about.st_mode & 0o7777, uid: about.st_uid, gid: about.st_gid)
  }

  private static func groups(of user: UserRecord) -> [UInt32] { groups(of: user, primary: user.gid) }

  /// The groups that the system's databases give a user, the primary one among them.
  static func groups(of user: UserRecord, primary: UInt32) -> [UInt32] {
    var groups = [gid_t](repeating: 0, count: 256)
    var count = Int32(groups.count)
    if withCString(user.name, { getgrouplist($0, primary, &groups, &count) }) < 0 {
      groups = [gid_t](repeating: 0, count: min(max(Int(count), 256), 65536))
      count = Int32(groups.count)
      guard withCString(user.name, { getgrouplist($0, primary, &groups, &count) }) >= 0 else { return [primary] }
    }
    return Array(groups.prefix(max(0, Int(count))))
  }

  private static func hasLocale(_ name: ByteText) -> Bool {
    guard let locale = withCString(name, { newlocale(LC_ALL_MASK, $0, nil) }) else { return false }
    freelocale(locale)
    return true
  }

  /// LC_ALL_MASK, which is an expression in C: every category's bit.
  private static let LC_ALL_MASK: Int32 = [
    LC_CTYPE, LC_NUMERIC, LC_TIME, LC_COLLATE, LC_MONETARY, LC_MESSAGES, LC_PAPER, LC_NAME, LC_ADDRESS, LC_TELEPHONE,
    LC_MEASUREMENT, LC_IDENTIFICATION,
  ].reduce(0) { $0 | 1 << Int32($1) }
}
