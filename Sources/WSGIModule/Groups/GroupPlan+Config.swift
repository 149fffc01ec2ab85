import CHTTPD
import Glibc
import ProcessSupervision
import RequestCounting
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

  /// The values of a server that the plans of its groups contain. They outlive httpd's records of it: the supervisor makes plans
  /// for tenants later.
  struct Surroundings {
    let global: GlobalConfig
    let facts: ServerFacts
    let logLevel: LogLevel
    /// `Timeout`, in milliseconds.
    let timeout: Int64
    let allowsCoreDumps: Bool

    init(_ group: GroupConfig, _ generation: Generation) {
      global = generation.configuration.global
      facts = ServerFacts(wsgi_httpd_get_facts())
      let server = OpaquePointer(bitPattern: group.server.id) ?? generation.mainServer
      logLevel = LogLevel(clamping: wsgi_httpd_server_log_level(server))
      timeout = wsgi_httpd_server_timeout_milliseconds(server)
      allowsCoreDumps = wsgi_httpd_allows_core_dumps() != 0
    }
  }

  /// `user`: who the group's processes run as; nil: the group's user, or httpd's.
  init(_ group: GroupConfig, _ surroundings: Surroundings, user known: UserRecord? = nil) {
    let global = surroundings.global
    let user = known ?? GroupPlan.user(of: group)
    var settings = group.settings
    settings.engine = global.settings(for: group, user: user)
    settings.engine.add(surroundings.facts)
    if geteuid() == 0 { settings.credentials = GroupPlan.credentials(group, user) }
    settings.directory = GroupPlan.directory(group, user)
    settings.allowsCoreDumps = surroundings.allowsCoreDumps
    settings.logLevel = surroundings.logLevel
    settings.engines = EngineDirectory.installed
    settings.imports = global.imports.filter { $0.processGroup == settings.processGroup }.map {
      let script = group.changedRoot?.inside($0.path) ?? $0.path
      return WorkerSettings.Script(script: script, applicationGroup: $0.applicationGroup)
    }
    if settings.socketTimeout == 0 { settings.socketTimeout = surroundings.timeout }
    self.init(
      name: group.name.description, processes: settings.processes, settings: settings,
      program: Array(EngineDirectory.workerProgram.utf8), arguments: GroupPlan.arguments(group),
      environment: WorkerEnvironment.make(
        GroupPlan.startEnvironment,
        passed: group.hasCleanEnvironment ? Set(group.passedVariables.map(\.description)) : nil, language: group.lang?.bytes,
        locale: settings.locale, userName: user?.name.bytes,
        userHome: user?.home.bytes),
      keepsOldCode: group.reload != .restart)
    preloads = group.preloads && !settings.isService && settings.imports.contains { $0.applicationGroup.isEmpty }
    minimumProcesses = group.minimumProcesses ?? settings.processes
    sessionSlots = group.stickySessions == nil || settings.isService ? 0 : settings.processes
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

extension GroupPlan {
  /// The plan of a tenant's group. Until the user has been looked up it has that id and no group that matters: nothing can go
  /// wrong should a process be started by it.
  init(_ template: GroupConfig, for tenant: Tenant, _ entry: UserEntry?, _ surroundings: Surroundings) {
    var user = template.user
    if template.template?.runsAsOwner == true {
      user = UserRecord(
        name: ByteText(entry?.name ?? []), uid: tenant.user, gid: entry?.gid ?? GroupPlan.noGroup,
        home: ByteText(entry?.home ?? [0x2F]))
    }
    var group = template.made(for: tenant.key, user: user)
    if template.template?.runsAsOwner == true, group.supplementaryGroups == nil {
      group.supplementaryGroups = entry?.supplementaryGroups ?? []
    }
    self.init(group, surroundings, user: user)
    settings.imports = []
    preloads = false
  }

  /// `nogroup`.
  private static let noGroup: UInt32 = 65_534
}

extension TemplatePlan {
  /// nil: `group` is no template.
  init?(
    _ group: GroupConfig, _ place: Int, _ generation: Generation, plan: @escaping (Tenant, UserEntry?) -> GroupPlan
  ) {
    guard let template = group.template else { return nil }
    self.init(
      places: generation.configuration.tenantPlaces(of: place), startRate: template.startRate,
      owners: template.runsAsOwner ? template.userIDs : nil, isNamedByOwner: template.runsAsOwner && template.key == .owner,
      preloads: group.preloads, plan: plan, userNumber: { generation.userNumber($0, $1) },
      forgetCounts: { generation.row($0, user: nil)?.forgetCounts() })
  }
}
