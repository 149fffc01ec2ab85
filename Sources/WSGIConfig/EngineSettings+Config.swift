import WSGICore

extension GlobalConfig {
  /// The settings of the engine in an httpd child: the MPM's processes and threads per process; `isSingleProcess`: `httpd -X`.
  public func embeddedSettings(processes: Int, threads: Int, isSingleProcess: Bool) -> EngineSettings {
    var settings = engine
    settings.processes = processes
    settings.threads = threads
    settings.isMultiprocess = processes > 1 && !isSingleProcess
    settings.isSingleProcess = isSingleProcess
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
