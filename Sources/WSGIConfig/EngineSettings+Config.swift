import WSGICore

/// The server's own limits, of which engines are told.
public struct ServerFacts: Sendable {
  /// The MPM's processes and threads per process.
  public var processes: Int
  public var threads: Int
  /// httpd runs as a single process (`-X`).
  public var isSingleProcess: Bool

  public init(processes: Int, threads: Int, isSingleProcess: Bool) {
    self.processes = processes
    self.threads = threads
    self.isSingleProcess = isSingleProcess
  }
}

extension GlobalConfig {
  /// The settings of the engine in an httpd child.
  public func embeddedSettings(_ facts: ServerFacts) -> EngineSettings {
    var settings = engine
    settings.processes = facts.processes
    settings.threads = facts.threads
    settings.isMultiprocess = facts.processes > 1 && !facts.isSingleProcess
    settings.isSingleProcess = facts.isSingleProcess
    settings.interpreterOptions.removeAll { !$0.applies(to: []) }
    if restrictEmbedded == true { settings.removeTelemetry() }
    return settings
  }

  /// The settings of the engine in a process of `group`.
  ///
  /// - user: whom the process runs as: the group's own user, or httpd's.
  public func settings(for group: GroupConfig, user: UserRecord?) -> EngineSettings {
    var settings = group.settings.engine
    settings.inherit(engine)
    if settings.python == nil, settings.pythonHome == nil { settings.pythonHome = engine.pythonHome }
    settings.interpreterOptions.removeAll { !$0.applies(to: settings.processGroup) }
    settings.userName = user?.name.bytes
    settings.userHome = user?.home.bytes
    if settings.isService { settings.removeTelemetry() }
    return settings
  }
}
