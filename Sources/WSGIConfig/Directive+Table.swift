import WSGICore

extension Directive {
  /// All directives. Each is one row: name, where it may stand, what its argument is, what it does.
  public static let table: [Directive] = mapping + processes + python + interpreters + requests + auth + telemetry + obsolete

  private static let mapping: [Directive] = [
    Directive(
      "WSGIScriptAlias", .server, default: "–", "a URL path and the WSGI script that serves it, then options",
      .line { (parse, line) throws(ConfigError) in try ScriptAlias.add(&parse, &line, isMatch: false) }),
    Directive(
      "WSGIScriptAliasMatch", .server, default: "–",
      "a regular expression for URL paths and the WSGI script that serves them, then options",
      .line { (parse, line) throws(ConfigError) in try ScriptAlias.add(&parse, &line, isMatch: true) }),
    Directive(
      "WSGIHandlerScript", .everywhere, default: "–", "a handler name and the script that implements it, then options",
      .line(HandlerScript.add)),
    Directive(
      "WSGIDispatchScript", .everywhere, default: "none",
      "a script that may choose a request's groups and callable, then options",
      .line { (parse, line) throws(ConfigError) in
        parse.scope.dispatchScript = try ServiceScript(.dispatch, &parse, &line)
      }),
    Directive(
      "WSGIImportScript", .server, default: "–",
      "a script to load when a process starts, then process-group= and application-group=",
      .line(ImportScript.add)),
    Directive(
      "WSGICallableObject", .everywhere, default: "application", "the name of the WSGI application object in its script",
      .one { (parse, word) in parse.scope.callableObject = NameTemplate(word, for: .callable) }),
    Directive(
      "WSGICaseSensitivity", .global, default: "On", "On: the file system distinguishes upper and lower case",
      .flag { (parse, isOn) in parse.global.value.caseSensitivity = isOn }),
  ]

  private static let processes: [Directive] = [
    Directive(
      "WSGIDaemonProcess", .server, default: "–", "the name of a daemon process group to define, then options",
      .line { (parse, line) throws(ConfigError) in try GroupConfig.add(&parse, &line) }),
    Directive(
      "WSGIDaemonTemplate", .server, default: "–", "the name of a template of daemon process groups, then options",
      .line(GroupConfig.addTemplate)),
    Directive(
      "WSGIProcessGroup", .serverAndDirectory, default: "%{GLOBAL}", "the name of the process group that applications run in",
      .one { (parse, word) in
        let name = NameTemplate(word, for: .processGroup)
        parse.scope.processGroup = name
        parse.global.value.references.append(
          GroupReference(name: name, server: parse.server.id, path: parse.path, location: parse.location))
      }),
    Directive(
      "WSGIApplicationGroup", .serverAndDirectory, default: "%{RESOURCE}",
      "the name of the application group (Python interpreter) that applications run in",
      .one { (parse, word) in
        let name = NameTemplate(word, for: .applicationGroup)
        parse.scope.applicationGroup = name
        if let fixed = name.fixedName { parse.global.value.applicationGroups.append(fixed) }
        if name.mayBeMainInterpreter { parse.global.value.usesMainInterpreter = true }
      }),
    Directive(
      "WSGIRestrictProcess", .serverAndDirectory, default: "unrestricted",
      "the names of the process groups that applications may use here",
      .line(applyRestrictProcess)),
    Directive(
      "WSGIRestrictEmbedded", .global, default: "Off", "On: refuse to run applications in httpd's own processes",
      .flag { (parse, isOn) in parse.global.value.restrictEmbedded = isOn }),
    Directive(
      "WSGIControlSocket", .global, default: "wsgictl.sock",
      "the path of the socket for wsgictl, relative to DefaultRuntimeDir; Off: none",
      .one { (parse, word) throws(ConfigError) in
        guard !word.isEmpty else { throw ConfigError("WSGIControlSocket requires a path, or Off.") }
        parse.global.value.controlSocket = word.description.lowercased() == "off" ? .off : .path(word)
      }),
    Directive(
      "WSGISpoolLimit", .global, default: "1G",
      "the most bytes in temporary files with request bodies and responses of all process groups; 0: no limit",
      .one { (parse, word) throws(ConfigError) in
        guard let size = NumberSyntax.size(word), size >= 0 else {
          throw ConfigError("WSGISpoolLimit must be a number of bytes, which K, M or G may follow, not '\(word)'.")
        }
        parse.global.value.spoolLimit = size
      }),
  ]

  private static let python: [Directive] = [
    Directive(
      "WSGIPythonHome", .global, default: "the engine's own", "the directory of a Python installation or virtual environment",
      .one { (parse, word) in
        parse.global.value.engine.pythonHome = word.bytes
        parse.global.value.pythonHomeLocation = parse.location
      }),
    Directive(
      "WSGIPythonEggs", .global, default: "none", "the directory in which Python eggs are unpacked",
      .one { (parse, word) in parse.global.value.engine.pythonEggs = word.bytes }),
    Directive("WSGIPythonOptimize", .global, default: "0", "Python's optimisation level: 0, 1 or 2", .one(applyOptimize)),
    Directive(
      "WSGIPythonWarnings", .global, default: "none", "a warning filter, as for python -W",
      .one { (parse, word) in parse.global.value.engine.warnings.append(word.bytes) }),
    Directive(
      "WSGIPythonHashSeed", .global, default: "Python's own", "'random', or a number from 0 to 4294967295",
      .one(applyHashSeed)),
    engineFlag("WSGIDontWriteBytecode", default: "Off", \.dontWriteBytecode, "On: Python writes no .pyc files"),
    engineFlag(
      "WSGIDestroyInterpreter", default: "On", \.destroysInterpreters, "On: finalise Python's interpreters when a process exits"),
  ]

  private static let interpreters: [Directive] = [
    Directive(
      "WSGIMaxInterpreters", .global, default: "128",
      "the highest number of interpreters in a process whose names come from requests",
      .one { (parse, word) throws(ConfigError) in
        guard let number = NumberSyntax.integer(word), (1...1_000_000).contains(number) else {
          throw ConfigError("WSGIMaxInterpreters must be a whole number from 1 to 1000000, not '\(word)'.")
        }
        parse.global.value.engine.maximumInterpreters = number
      }),
    Directive(
      "WSGIReloadGenerations", .global, default: "3",
      "the highest number of interpreters of an application group at a time while it is reloaded",
      .one { (parse, word) throws(ConfigError) in
        guard let number = NumberSyntax.integer(word), (2...100).contains(number) else {
          throw ConfigError("WSGIReloadGenerations must be a whole number from 2 to 100, not '\(word)'.")
        }
        parse.global.value.engine.reloadGenerations = number
      }),
    Directive(
      "<WSGIInterpreterOptions", .global, default: "–",
      "process-group=NAME, application-group=NAME, both or neither, to select interpreters",
      .section(InterpreterOptions.open)),
    Directive(
      "WSGIPythonPath", .global, default: "none", "directories to add to sys.path, separated by ':'", scopable: true,
      .one { (parse, word) in
        parse.setInterpreter { $0.pythonPath = word.bytes }
        if parse.global.value.openBlock == nil { parse.global.value.pythonPathLocation = parse.location }
      }),
    Directive(
      "WSGISwitchInterval", .global, default: "Python's own", "seconds (greater than 0) after which Python switches threads",
      scopable: true,
      .one { (parse, word) throws(ConfigError) in
        let seconds = try positiveSeconds(word, of: "WSGISwitchInterval")
        parse.setInterpreter { $0.switchInterval = seconds }
      }),
    interpreterFlag("WSGIPerInterpreterGIL", default: "Off", \.perInterpreterGIL, "On: give each sub-interpreter its own GIL"),
    interpreterFlag("WSGIFreeThreading", default: "Off", \.freeThreading, "On: run a free-threaded Python without the GIL"),
    interpreterFlag("WSGIRestrictStdin", default: "Off", \.restrictStdin, "On: reading sys.stdin raises an exception"),
    interpreterFlag("WSGIRestrictStdout", default: "Off", \.restrictStdout, "On: writing to sys.stdout raises an exception"),
    interpreterFlag(
      "WSGIRestrictSignal", default: "On", \.restrictSignal, "On: ignore signal handlers that applications register"),
  ]

  private static let requests: [Directive] = [
    scopeFlag("WSGIPassApacheRequest", .passApacheRequest, "On: put httpd's request record into the WSGI environ"),
    scopeFlag("WSGIPassAuthorization", .passAuthorization, "On: pass the Authorization header to applications"),
    scopeFlag("WSGIScriptReloading", .scriptReloading, "On: reload a script when its file has changed"),
    Directive(
      "WSGIReloadMechanism", .serverAndDirectory, default: "Module",
      "Module or Interpreter: what is loaded again in embedded mode when a script has changed",
      .one { (parse, word) throws(ConfigError) in
        let isInterpreter = word.equalsIgnoringCase("Interpreter")
        guard isInterpreter || word.equalsIgnoringCase("Module") else {
          throw ConfigError("WSGIReloadMechanism must be one of: Module | Interpreter, not '\(word)'.")
        }
        parse.scope.flags[.replacesInterpreter] = isInterpreter
      }),
    scopeFlag("WSGIErrorOverride", .errorOverride, "On: send httpd's error documents instead of those of applications"),
    scopeFlag("WSGIChunkedRequest", .chunkedRequest, "On: accept chunked request bodies"),
    scopeFlag("WSGIIgnoreActivity", .ignoreActivity, "On: requests do not reset the inactivity timer"),
    scopeFlag("WSGIEnableSendfile", .enableSendfile, "On: send files of wsgi.file_wrapper with sendfile()"),
    Directive(
      "WSGIMapHEADToGET", .everywhere, default: "Auto",
      "On: applications see HEAD as GET; Auto: only if an output filter needs the body; or Off",
      .one { (parse, word) throws(ConfigError) in
        if word.equalsIgnoringCase("Auto") {
          parse.scope.mapHEADToGET = .auto
        } else if let isOn = onOff(word) {
          parse.scope.mapHEADToGET = isOn ? .on : .off
        } else {
          throw ConfigError("WSGIMapHEADToGET must be one of: Off | On | Auto, not '\(word)'.")
        }
      }),
    Directive(
      "WSGITrustedProxyHeaders", .everywhere, default: "none", "the headers to accept from trusted proxies",
      .each { (parse, word) throws(ConfigError) in
        let header = try ProxyHeader(configured: word)
        parse.scope.trustedProxyHeaders = (parse.scope.trustedProxyHeaders ?? []) + [header]
      }),
    Directive(
      "WSGITrustedProxies", .everywhere, default: "every peer", "the IP addresses or subnets of trusted proxies",
      .each { (parse, word) throws(ConfigError) in
        let subnet = try applyProxy(word)
        parse.scope.trustedProxies = (parse.scope.trustedProxies ?? []) + [subnet]
      }),
  ]

  private static let auth: [Directive] = [
    Directive(
      "WSGIAccessScript", .directoryAuth, default: "none", "a script that defines allow_access, then options",
      .line { (parse, line) throws(ConfigError) in
        parse.directoryConfig.value.accessScript = try ServiceScript(.access, &parse, &line)
      }),
    Directive(
      "WSGIAuthUserScript", .directoryAuth, default: "none",
      "a script that defines check_password or get_realm_hash, then options",
      .line { (parse, line) throws(ConfigError) in
        parse.directoryConfig.value.authUserScript = try ServiceScript(.authUser, &parse, &line)
      }),
    Directive(
      "WSGIAuthGroupScript", .directoryAuth, default: "none", "a script that defines groups_for_user, then options",
      .line { (parse, line) throws(ConfigError) in
        parse.directoryConfig.value.authGroupScript = try ServiceScript(.authGroup, &parse, &line)
      }),
    Directive(
      "WSGIGroupAuthoritative", .directoryAuth, default: "On", "accepted for compatibility, has no effect: On or Off",
      .flag { (parse, isOn) in parse.directoryConfig.value.groupAuthoritative = isOn }),
  ]

  private static let telemetry: [Directive] = [
    Directive(
      "WSGIStatusPaths", .server, default: "Off", "On: the status page shows the paths of running requests",
      .flag { (parse, isOn) in parse.scope.flags[.statusPaths] = isOn }),
    engineFlag("WSGIServerMetrics", default: "Off", \.serverMetrics, "On: embedded applications may read httpd's scoreboard"),
    Directive(
      "WSGITelemetryService", .global, default: "none", "unix:PATH, the socket to send telemetry to, then interval=SECONDS",
      .line(applyTelemetryService)),
    Directive(
      "WSGISlowRequests", .global, default: "0", "seconds after which a running request is reported as slow; 0: never",
      .one(applySlowRequests)),
    Directive(
      "WSGITelemetryOptions", .global, default: "None",
      "what telemetry includes: CaptureUserAgent, None or All, or flags with + and -",
      .line(applyTelemetryOptions)),
  ]

  /// Directives that only the reference needs.
  private static let obsolete: [Directive] = [
    Directive(
      "WSGISocketPrefix", .global, default: "–", "accepted for compatibility, has no effect",
      .one { (parse, _) in parse.noteObsolete("WSGISocketPrefix", "process groups are reached without socket files") }),
    Directive(
      "WSGISocketRotation", .global, default: "–", "accepted for compatibility, has no effect: On or Off",
      .flag { (parse, _) in parse.noteObsolete("WSGISocketRotation", "process groups are reached without socket files") }),
    Directive("WSGIAcceptMutex", .global, default: "–", "accepted for compatibility, has no effect", .one(applyAcceptMutex)),
    Directive(
      "WSGIVerboseDebugging", .global, default: "–", "accepted for compatibility, has no effect: On or Off",
      .flag { (parse, _) in parse.noteObsolete("WSGIVerboseDebugging", "write 'LogLevel wsgi:debug'") }),
  ]

  private static func engineFlag(
    _ name: StaticString, default standard: StaticString, _ value: any WritableKeyPath<EngineSettings, Bool> & Sendable,
    _ usage: StaticString
  ) -> Directive {
    Directive(name, .global, default: standard, usage, .flag { $0.global.value.engine[keyPath: value] = $1 })
  }

  private static func interpreterFlag(
    _ name: StaticString, default standard: StaticString, _ value: any WritableKeyPath<InterpreterSettings, Bool?> & Sendable,
    _ usage: StaticString
  ) -> Directive {
    Directive(
      name, .global, default: standard, usage, scopable: true,
      .flag { (parse, isOn) in parse.setInterpreter { $0[keyPath: value] = isOn } })
  }

  private static func scopeFlag(_ name: StaticString, _ flag: ScopeFlags.Flag, _ usage: StaticString) -> Directive {
    Directive(
      name, .everywhere, default: flag == .scriptReloading ? "On" : "Off", usage,
      .flag { (parse, isOn) in parse.scope.flags[flag] = isOn })
  }
}

extension ConfigParse {
  func noteObsolete(_ directive: String, _ reason: String) {
    note(.info, "\(directive) has no effect in this version of mod_wsgi: \(reason).")
  }
}
