import WSGICore

extension Directive {
  /// All directives. Each is one row: name, where it may stand, what its argument is, what it does.
  public static let table: [Directive] = mapping + processes + python + interpreters + requests + auth + telemetry + obsolete

  private static let mapping: [Directive] = [
    Directive(
      "WSGIScriptAlias", .server, default: "–", "a URL path and the script it leads to, then options",
      .line { (parse, line) throws(ConfigError) in try ScriptAlias.add(&parse, &line, isMatch: false) }),
    Directive(
      "WSGIScriptAliasMatch", .server, default: "–", "a regular expression and the script it leads to, then options",
      .line { (parse, line) throws(ConfigError) in try ScriptAlias.add(&parse, &line, isMatch: true) }),
    Directive(
      "WSGIHandlerScript", .everywhere, default: "–", "a handler name and the script behind it, then options",
      .line { (parse, line) throws(ConfigError) in try HandlerScript.add(&parse, &line) }),
    Directive(
      "WSGIDispatchScript", .everywhere, default: "none", "a script that may choose where a request runs, then options",
      .line { (parse, line) throws(ConfigError) in
        parse.scope.dispatchScript = try ServiceScript(.dispatch, &parse, &line)
      }),
    Directive(
      "WSGIImportScript", .server, default: "–", "a script to load at process start, then both group options",
      .line { (parse, line) throws(ConfigError) in try ImportScript.add(&parse, &line) }),
    Directive(
      "WSGICallableObject", .everywhere, default: "application", "the name of the WSGI application object in its script",
      .one { (parse, word) in parse.scope.callableObject = NameTemplate(word, for: .callable) }),
    Directive(
      "WSGICaseSensitivity", .global, default: "On", "whether the file system distinguishes case: On or Off",
      .flag { (parse, isOn) in parse.global.value.caseSensitivity = isOn }),
  ]

  private static let processes: [Directive] = [
    Directive(
      "WSGIDaemonProcess", .server, default: "–", "the name of a process group, then options",
      .line { (parse, line) throws(ConfigError) in try DaemonGroup.add(&parse, &line) }),
    Directive(
      "WSGIProcessGroup", .serverAndDirectory, default: "%{GLOBAL}", "the name of the process group to run in",
      .one { (parse, word) in
        let name = NameTemplate(word, for: .processGroup)
        parse.scope.processGroup = name
        parse.global.value.references.append(
          GroupReference(name: name, server: parse.server.id, path: parse.path, location: parse.location))
      }),
    Directive(
      "WSGIApplicationGroup", .serverAndDirectory, default: "%{RESOURCE}", "the name of the application group to run in",
      .one { (parse, word) in
        let name = NameTemplate(word, for: .applicationGroup)
        parse.scope.applicationGroup = name
        if let fixed = name.fixedName { parse.global.value.applicationGroups.append(fixed) }
      }),
    Directive(
      "WSGIRestrictProcess", .serverAndDirectory, default: "unrestricted", "the process groups that may be used here",
      .line { (parse, line) throws(ConfigError) in try applyRestrictProcess(&parse, &line) }),
    Directive(
      "WSGIRestrictEmbedded", .global, default: "Off", "whether requests are refused in embedded mode: On or Off",
      .flag { (parse, isOn) in parse.global.value.restrictEmbedded = isOn }),
  ]

  private static let python: [Directive] = [
    Directive(
      "WSGIPythonHome", .global, default: "the engine's own", "the directory of a Python installation or virtual environment",
      .one { (parse, word) in
        parse.global.value.engine.pythonHome = word.bytes
        parse.global.value.pythonHomeLocation = parse.location
      }),
    Directive(
      "WSGIPythonEggs", .global, default: "none", "the directory that eggs are unpacked to",
      .one { (parse, word) in parse.global.value.engine.pythonEggs = word.bytes }),
    Directive(
      "WSGIPythonOptimize", .global, default: "0", "Python's optimisation level: 0, 1 or 2",
      .one { (parse, word) throws(ConfigError) in try applyOptimize(&parse, word) }),
    Directive(
      "WSGIPythonWarnings", .global, default: "none", "a warning filter, as for python -W",
      .one { (parse, word) in parse.global.value.engine.warnings.append(word.bytes) }),
    Directive(
      "WSGIPythonHashSeed", .global, default: "Python's own", "'random', or a number from 0 to 4294967295",
      .one { (parse, word) throws(ConfigError) in try applyHashSeed(&parse, word) }),
    Directive(
      "WSGIDontWriteBytecode", .global, default: "Off", "whether Python writes no .pyc files: On or Off",
      .flag { (parse, isOn) in parse.global.value.engine.dontWriteBytecode = isOn }),
    Directive(
      "WSGIDestroyInterpreter", .global, default: "On", "whether interpreters are ended when a process ends: On or Off",
      .flag { (parse, isOn) in parse.global.value.engine.destroysInterpreters = isOn }),
  ]

  private static let interpreters: [Directive] = [
    Directive(
      "WSGIMaxInterpreters", .global, default: "128",
      "how many interpreters a process may have whose names come from requests",
      .one { (parse, word) throws(ConfigError) in
        guard let number = NumberSyntax.integer(word), (1...1_000_000).contains(number) else {
          throw ConfigError("WSGIMaxInterpreters must be a whole number from 1 to 1000000, not '\(word)'.")
        }
        parse.global.value.engine.maximumInterpreters = number
      }),
    Directive(
      "<WSGIInterpreterOptions", .global, default: "–", "process-group=NAME and application-group=NAME, either or both or none",
      .section { (parse, line) throws(ConfigError) in try InterpreterOptions.open(&parse, &line) }),
    Directive(
      "WSGIPythonPath", .global, default: "none", "directories to find Python modules in, separated by ':'", scopable: true,
      .one { (parse, word) in
        parse.setInterpreter { $0.pythonPath = word.bytes }
        if parse.global.value.openBlock == nil { parse.global.value.pythonPathLocation = parse.location }
      }),
    Directive(
      "WSGISwitchInterval", .global, default: "Python's own", "seconds, above 0, after which Python switches threads",
      scopable: true,
      .one { (parse, word) throws(ConfigError) in
        let seconds = try positiveSeconds(word, of: "WSGISwitchInterval")
        parse.setInterpreter { $0.switchInterval = seconds }
      }),
    Directive(
      "WSGIPerInterpreterGIL", .global, default: "Off", "whether each sub-interpreter has its own GIL: On or Off", scopable: true,
      .flag { (parse, isOn) in parse.setInterpreter { $0.perInterpreterGIL = isOn } }),
    Directive(
      "WSGIFreeThreading", .global, default: "Off", "whether a free-threaded Python runs without the GIL: On or Off",
      scopable: true,
      .flag { (parse, isOn) in parse.setInterpreter { $0.freeThreading = isOn } }),
    Directive(
      "WSGIRestrictStdin", .global, default: "Off", "whether reading sys.stdin is refused: On or Off", scopable: true,
      .flag { (parse, isOn) in parse.setInterpreter { $0.restrictStdin = isOn } }),
    Directive(
      "WSGIRestrictStdout", .global, default: "Off", "whether writing sys.stdout is refused: On or Off", scopable: true,
      .flag { (parse, isOn) in parse.setInterpreter { $0.restrictStdout = isOn } }),
    Directive(
      "WSGIRestrictSignal", .global, default: "On", "whether signal handlers are not registered: On or Off", scopable: true,
      .flag { (parse, isOn) in parse.setInterpreter { $0.restrictSignal = isOn } }),
  ]

  private static let requests: [Directive] = [
    scopeFlag("WSGIPassApacheRequest", .passApacheRequest, "whether environ holds the request record: On or Off"),
    scopeFlag("WSGIPassAuthorization", .passAuthorization, "whether applications see HTTP_AUTHORIZATION: On or Off"),
    scopeFlag("WSGIScriptReloading", .scriptReloading, "whether a changed script is loaded again: On or Off"),
    scopeFlag("WSGIErrorOverride", .errorOverride, "whether httpd's error documents replace those of applications: On or Off"),
    scopeFlag("WSGIChunkedRequest", .chunkedRequest, "whether chunked request bodies are accepted: On or Off"),
    scopeFlag("WSGIIgnoreActivity", .ignoreActivity, "whether requests leave the inactivity timer alone: On or Off"),
    scopeFlag("WSGIEnableSendfile", .enableSendfile, "whether files are sent by sendfile: On or Off"),
    Directive(
      "WSGIMapHEADToGET", .everywhere, default: "Auto", "whether applications see HEAD as GET: On, Off or Auto",
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
      "WSGITrustedProxyHeaders", .everywhere, default: "none", "the headers to believe of a trusted proxy",
      .each { (parse, word) throws(ConfigError) in
        let header = try ProxyHeader(configured: word)
        parse.scope.trustedProxyHeaders = (parse.scope.trustedProxyHeaders ?? []) + [header]
      }),
    Directive(
      "WSGITrustedProxies", .everywhere, default: "every peer", "the addresses or subnets of trusted proxies",
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
      "WSGIGroupAuthoritative", .directoryAuth, default: "On", "accepted and without effect: On or Off",
      .flag { (parse, isOn) in parse.directoryConfig.value.groupAuthoritative = isOn }),
  ]

  private static let telemetry: [Directive] = [
    Directive(
      "WSGIServerMetrics", .global, default: "Off", "whether embedded applications can read httpd's scoreboard: On or Off",
      .flag { (parse, isOn) in parse.global.value.engine.serverMetrics = isOn }),
    Directive(
      "WSGITelemetryService", .global, default: "none", "unix:PATH, then interval=SECONDS",
      .line { (parse, line) throws(ConfigError) in try applyTelemetryService(&parse, &line) }),
    Directive(
      "WSGISlowRequests", .global, default: "0", "seconds from which a request is reported as slow; 0 for never",
      .one { (parse, word) throws(ConfigError) in try applySlowRequests(&parse, word) }),
    Directive(
      "WSGITelemetryOptions", .global, default: "None", "CaptureUserAgent, None or All; or flags with + and -",
      .line { (parse, line) throws(ConfigError) in try applyTelemetryOptions(&parse, &line) }),
  ]

  /// What the reference needs and this module has no use for.
  private static let obsolete: [Directive] = [
    Directive(
      "WSGISocketPrefix", .global, default: "–", "accepted and without effect",
      .one { (parse, _) in parse.noteObsolete("WSGISocketPrefix", "process groups are reached without socket files") }),
    Directive(
      "WSGISocketRotation", .global, default: "–", "accepted and without effect: On or Off",
      .flag { (parse, _) in parse.noteObsolete("WSGISocketRotation", "process groups are reached without socket files") }),
    Directive(
      "WSGIAcceptMutex", .global, default: "–", "accepted and without effect",
      .one { (parse, word) throws(ConfigError) in try applyAcceptMutex(&parse, word) }),
    Directive(
      "WSGIVerboseDebugging", .global, default: "–", "accepted and without effect: On or Off",
      .flag { (parse, _) in parse.noteObsolete("WSGIVerboseDebugging", "write 'LogLevel wsgi:debug'") }),
  ]

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
