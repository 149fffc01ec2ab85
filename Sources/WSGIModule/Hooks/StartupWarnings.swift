import CHTTPD
import Glibc
import Platform
import ProcessSupervision
import WSGIConfig
import WSGICore

/// Has a configuration looked over, with the system's answers to what that asks.
enum StartupWarnings {
  static func report(_ configuration: Configuration, _ mainServer: OpaquePointer) {
    for notice in configuration.global.notices {
      log(notice.level, mainServer, notice.message)
    }
    let lookout = Lookout()
    var diagnostics = Diagnostics(configuration, SystemFacts.current(lookout))
    for diagnostic in diagnostics.run() {
      // A server's id is its address; 0 stands for the main one.
      let server = OpaquePointer(bitPattern: diagnostic.server) ?? mainServer
      log(diagnostic.isRemark ? .info : .warning, server, diagnostic.description)
    }
    for user in lookout.lost {
      log(
        .warning, mainServer,
        "WSGI0632: Could not examine the files of user '\(user)' within \(FileProbe.patience) ms; not checking its scripts, "
          + "directories and Python. Check whether one of their file systems does not answer.")
    }
  }

  /// `httpd -t -D DUMP_WSGI`
  static func dump(_ configuration: Configuration, _ mainServer: OpaquePointer, _ pool: OpaquePointer) {
    let facts = wsgi_httpd_get_facts()
    func text(_ value: UnsafePointer<CChar>?) -> String { value.map { String(cString: $0) } ?? "" }
    var server = [
      ("version", ModuleVersion.text), ("directory", EngineDirectory.path ?? ""),
      ("engine", EngineDirectory.preferredVersion?.description ?? ""), ("mpm", text(facts.mpm)),
      ("processes", "\(facts.maximum_processes)"), ("threads", "\(facts.maximum_threads)"),
      ("pid-file", text(wsgi_httpd_pid_file(pool))), ("runtime", text(wsgi_httpd_runtime_directory(pool))),
    ]
    var next: OpaquePointer? = mainServer
    var logs: Set<String> = []
    while let one = next {
      if let path = wsgi_httpd_error_log(one, pool) { logs.insert(text(path)) }
      next = wsgi_httpd_next_server(one)
    }
    for (number, path) in logs.sorted().enumerated() { server.append(("log-\(number)", path)) }
    let lines = ConfigurationDump(configuration, SystemFacts.current(Lookout())).lines(server: server)
    var rest = ArraySlice((lines.joined(separator: "\n") + "\n").utf8)
    while !rest.isEmpty {
      let count = systemCall { rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) } }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}

/// Looks at files for those who are to use them: one process each, which is gone when this is.
private final class Lookout {
  /// So many of them may keep httpd waiting; what others are to use is then not looked at.
  private static let mostLost = 3
  private var probes: [FileCredentials?: FileProbe?] = [:]

  /// The users whose process did not answer.
  var lost: [String] { probes.compactMap { user, probe in probe?.isLost == true ? user?.name ?? "?" : nil }.sorted() }

  func probe(for user: FileCredentials?) -> FileProbe? {
    if let known = probes[user] { return known }
    guard lost.count < Lookout.mostLost else { return nil }
    var credentials: WorkerSettings.Credentials?
    if geteuid() == 0 {
      let httpd = wsgi_httpd_get_identity()
      credentials = WorkerSettings.Credentials(
        user: user?.uid ?? httpd.user, group: user?.groups.first ?? httpd.group,
        supplementaryGroups: user.map { Array($0.groups.dropFirst()) } ?? [])
    }
    let made = FileProbe(program: EngineDirectory.workerProgram, credentials: credentials)
    probes[user] = .some(made)
    return made
  }
}

extension SystemFacts {
  /// As things are on this machine, for a process that will be httpd's.
  fileprivate static func current(_ lookout: Lookout) -> SystemFacts {
    let facts = wsgi_httpd_get_facts()
    let httpd = wsgi_httpd_get_identity()
    let engines = EngineDirectory.installed
    var system = SystemFacts()
    system.file = { path, user in lookout.probe(for: user)?.facts(of: path.bytes) ?? .unknown }
    system.content = { path, user in lookout.probe(for: user)?.text(of: path.bytes) }
    system.groups = { groups(of: $0, primary: $0.gid) }
    system.hasLocale = hasLocale
    system.hasEngine = { version in engines.versions.contains { $0.description == version } }
    system.user = getpwuid(httpd.user).map(UserRecord.init(entry:))
    system.group = httpd.group
    system.mpm = String(cString: facts.mpm)
    system.processLimit = Int(facts.maximum_processes)
    system.workerProblem = EngineDirectory.workerProblem
    system.missingEngines = engines.versions.isEmpty ? engines.directory : nil
    return system
  }

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
