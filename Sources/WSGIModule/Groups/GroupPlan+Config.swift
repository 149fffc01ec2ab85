import CHTTPD
import Glibc
import ProcessSupervision
import WSGIConfig
import WSGICore

/// The supervisor's plan of a process group: httpd's parent finds out everything that it needs.
extension GroupPlan {
  /// Why no group can be started, as the end of a sentence. Which of the engines it is depends on files of the tenant's, at
  /// which the worker looks when it has the tenant's rights.
  static var problem: String? {
    let engines = EngineDirectory.installed
    guard engines.versions.isEmpty else { return EngineDirectory.workerProblem }
    return EngineChoiceFailure.noEngines(directory: engines.directory).description
  }

  init(_ group: GroupConfig, _ generation: Generation, _ facts: wsgi_httpd_facts) {
    let global = generation.configuration.global
    let user = GroupPlan.user(of: group)
    let server = OpaquePointer(bitPattern: group.server.id) ?? generation.mainServer
    var settings = group.settings
    settings.engine = global.settings(for: group, user: user)
    settings.engine.addServer(facts)
    if geteuid() == 0 { settings.credentials = GroupPlan.credentials(group, user) }
    settings.directory = GroupPlan.directory(group, user)
    settings.allowsCoreDumps = wsgi_httpd_allows_core_dumps() != 0
    settings.logLevel = LogLevel(clamping: wsgi_httpd_server_log_level(server))
    settings.engines = EngineDirectory.installed
    settings.imports = global.imports.filter { $0.processGroup == settings.processGroup }.map {
      let script = group.changedRoot?.inside($0.path) ?? $0.path
      return WorkerSettings.Script(script: script, applicationGroup: $0.applicationGroup)
    }
    if settings.socketTimeout == 0 { settings.socketTimeout = wsgi_httpd_server_timeout_milliseconds(server) }
    self.init(
      name: group.name.description, processes: settings.processes, settings: settings,
      program: Array(EngineDirectory.workerProgram.utf8), arguments: GroupPlan.arguments(group),
      environment: WorkerEnvironment.make(
        GroupPlan.startEnvironment,
        passed: group.hasCleanEnvironment ? Set(group.passedVariables.map(\.description)) : nil, language: group.lang?.bytes,
        locale: settings.locale, userName: user?.name.bytes,
        userHome: user?.home.bytes),
      keepsOldCode: group.reload == .rolling)
    minimumProcesses = group.minimumProcesses ?? settings.processes
    controlGroupValues = group.controlGroupValues.map { ControlGroupValue(file: $0.file.bytes, value: $0.value.bytes) }
    // A year is for ever.
    idleTimeout = min(Int64(clamping: group.idleTimeout), 31_536_000_000) &* 1_000
  }

  /// Who the group's processes run as.
  static func userID(of group: GroupConfig) -> UInt32 {
    guard geteuid() == 0 else { return geteuid() }
    return group.user?.uid ?? wsgi_httpd_get_identity().user
  }

  /// The group's user, or httpd's.
  private static func user(of group: GroupConfig) -> UserRecord? {
    if let user = group.user { return user }
    return getpwuid(userID(of: group)).map(UserRecord.init(entry:))
  }

  /// Looked up here: a worker asks no name service while it is root.
  private static func credentials(_ group: GroupConfig, _ user: UserRecord?) -> WorkerSettings.Credentials {
    let httpd = wsgi_httpd_get_identity()
    let primary = group.group ?? httpd.group
    let supplementary = group.supplementaryGroups ?? user.map { SystemFacts.groups(of: $0, primary: primary) } ?? []
    return WorkerSettings.Credentials(
      user: user?.uid ?? httpd.user, group: primary, supplementaryGroups: supplementary.filter { $0 != primary })
  }

  /// Where the worker starts: `home`, or the user's own where that is not httpd's.
  private static func directory(_ group: GroupConfig, _ user: UserRecord?) -> [UInt8]? {
    if let home = group.settings.engine.home { return home }
    guard geteuid() == 0, let user, user.uid != wsgi_httpd_get_identity().user, user.home != GroupPlan.noHome else { return nil }
    return user.home.bytes
  }

  /// The home of users without one in Debian's password database.
  private static let noHome: ByteText = "/nonexistent"

  private static func arguments(_ group: GroupConfig) -> [[UInt8]] {
    switch group.displayName {
    case nil: [Array("wsgi-worker".utf8), group.name.bytes]
    case "%{GROUP}": [Array("(wsgi:\(group.name))".utf8)]
    case let name?: [name.bytes]
    }
  }

  /// httpd's initial environment, byte for byte.
  private static var startEnvironment: [[UInt8]] {
    var entries: [[UInt8]] = []
    var next = environ
    while let entry = next.pointee {
      entries.append(Array(UnsafeRawBufferPointer(start: entry, count: strlen(entry))))
      next += 1
    }
    return entries
  }
}
