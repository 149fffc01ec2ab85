import Testing
import WSGICore

@testable import WSGIConfig

@Suite struct DirectiveTests {
  @Test func theTableHoldsEveryDirectiveOnce() {
    let names = Directive.table.map(\.name.description)
    #expect(names.count == 56)
    #expect(Set(names).count == 56)
  }

  static let contexts: [(DirectiveContext, [String])] = [
    (
      .global,
      [
        "WSGISocketPrefix", "WSGISocketRotation", "WSGIAcceptMutex", "WSGIVerboseDebugging", "WSGIDontWriteBytecode",
        "WSGIPythonWarnings", "WSGIPythonOptimize", "WSGIPythonHome", "WSGIPythonPath", "WSGIPythonEggs", "WSGIPythonHashSeed",
        "WSGISwitchInterval", "WSGIDestroyInterpreter", "WSGIPerInterpreterGIL", "WSGIFreeThreading", "<WSGIInterpreterOptions",
        "WSGIRestrictEmbedded", "WSGIControlSocket", "WSGIMaxInterpreters", "WSGIReloadGenerations", "WSGIRestrictStdin",
        "WSGIRestrictStdout",
        "WSGIRestrictSignal",
        "WSGICaseSensitivity", "WSGISpoolLimit",
        "WSGIServerMetrics", "WSGITelemetryService", "WSGISlowRequests", "WSGITelemetryOptions",
      ]
    ),
    (
      .server,
      [
        "WSGIScriptAlias", "WSGIScriptAliasMatch", "WSGIDaemonProcess", "WSGIDaemonTemplate", "WSGIImportScript",
        "WSGIStatusPaths",
      ]
    ),
    (.serverAndDirectory, ["WSGIRestrictProcess", "WSGIProcessGroup", "WSGIApplicationGroup", "WSGIReloadMechanism"]),
    (
      .everywhere,
      [
        "WSGICallableObject", "WSGIPassAuthorization", "WSGIScriptReloading", "WSGIErrorOverride", "WSGIChunkedRequest",
        "WSGIMapHEADToGET", "WSGIIgnoreActivity", "WSGITrustedProxyHeaders", "WSGITrustedProxies", "WSGIEnableSendfile",
        "WSGIDispatchScript", "WSGIHandlerScript", "WSGIPassApacheRequest",
      ]
    ),
    (.directoryAuth, ["WSGIAccessScript", "WSGIAuthUserScript", "WSGIAuthGroupScript", "WSGIGroupAuthoritative"]),
  ]

  @Test(arguments: contexts)
  func standsWhereTheReferenceHasIt(_ context: DirectiveContext, _ names: [String]) {
    #expect(Set(Directive.table.filter { $0.context == context }.map(\.name.description)) == Set(names))
  }

  static let accepted = [
    "WSGIScriptAlias /x /y", "WSGIScriptAlias /x /y process-group=a", "wsgiscriptalias /x /y", "WSGIRestrictProcess",
    "WSGIScriptAlias /x /y process-group=%{GLOBAL} application-group=%{GLOBAL} callable-object=app pass-authorization=ON",
    "WSGIScriptAlias '/a b' \"/c d\"", "WSGIScriptAliasMatch ^/(.*) /srv/$1/app.wsgi", "WSGISocketPrefix run/wsgi",
    "WSGIScriptAlias /x /y application-group=%{AUTO} process-group=%{ENV:g}", "WSGIAcceptMutex FLOCK",
    "WSGISocketRotation off", "WSGIVerboseDebugging On", "WSGIDontWriteBytecode on", "WSGIPythonWarnings error",
    "WSGIPythonOptimize 2", "WSGIPythonOptimize 3", "WSGIPythonHome /x:/y", "WSGIPythonHashSeed random",
    "WSGIPythonHashSeed 0", "WSGIPythonHashSeed 4294967295", "WSGISwitchInterval 1e-3", "WSGISwitchInterval 5ms",
    "WSGIRestrictProcess a b %{GLOBAL}", "WSGIProcessGroup %{GLOBAL}", "WSGIApplicationGroup %{AUTO}",
    "WSGIImportScript /x process-group=%{GLOBAL} application-group=%{GLOBAL}", "WSGIDispatchScript /x application-group=b",
    "WSGIMapHEADToGET aUTO", "WSGITrustedProxyHeaders X-Forwarded-For X-Unheard-Of", "WSGIHandlerScript name /x",
    "WSGITrustedProxies 10 10. 10.1 10.1.2.3. 10.0.0.0/8 10.0.0.0/255.0.0.0 ::1 FE80::/64 fd00::/8",
    "WSGIHandlerScript n /x process-group=g application-group=%{GLOBAL} pass-authorization=On",
    "WSGISpoolLimit 0", "WSGISpoolLimit 512M", "WSGITelemetryService unix:/run/t.sock",
    "WSGITelemetryService unix:/run/t.sock interval=0.5",
    "WSGITelemetryService unix:/run/t.sock interval=500ms", "WSGISlowRequests 0", "WSGISlowRequests 2.5",
    "WSGITelemetryOptions +CaptureUserAgent", "WSGITelemetryOptions None captureUserAgent",
    "WSGITelemetryOptions -captureuseragent",
  ]

  @Test(arguments: accepted)
  func accepts(_ line: String) {
    var config = TestConfig()
    #expect(config.read(line) == nil)
  }

  /// Each begins with what the reference says, where people search for that.
  static let refused: [(String, String)] = [
    ("WSGIScriptAlias", "WSGIScriptAlias requires at least two arguments, "),
    ("WSGIScriptAlias /x", "WSGIScriptAlias requires at least two arguments, "),
    ("WSGIScriptAlias \"\" /y", "WSGIScriptAlias requires at least two arguments, "),
    ("WSGIScriptAliasMatch /x", "WSGIScriptAliasMatch requires at least two arguments, "),
    ("WSGIScriptAliasMatch ((( /y", "Regular expression could not be compiled. '((('"),
    ("WSGIScriptAlias /x /y foo", "Invalid option to WSGI script alias definition. 'foo'"),
    ("WSGIScriptAlias /x /y foo=bar", "Invalid option to WSGI script alias definition. 'foo'"),
    ("WSGIScriptAlias /x /y Process-Group=a", "Invalid option to WSGI script alias definition. 'Process-Group'"),
    ("WSGIScriptAlias /x /y process-group=", "Invalid name for WSGI process group."),
    ("WSGIScriptAlias /x /y application-group=\"\"", "Invalid name for WSGI application group."),
    ("WSGIScriptAlias /x /y callable-object=", "Invalid name for WSGI callable object."),
    ("WSGIScriptAlias /x /y pass-authorization=yes", "Invalid value for authorization flag."),
    ("WSGIHandlerScript", "Name for handler script not supplied."),
    ("WSGIHandlerScript a", "Location of handler script not supplied."),
    ("WSGIHandlerScript a /x callable-object=b", "Invalid option to WSGI handler script definition. 'callable-object'"),
    ("WSGIHandlerScript a /x process-group=", "Invalid name for WSGI process group."),
    ("WSGIDispatchScript", "Location of dispatch script not supplied."),
    ("WSGIDispatchScript /x /y", "Invalid option to WSGI dispatch script definition. '/y'"),
    ("WSGIImportScript", "Location of import script not supplied."),
    ("WSGIImportScript /x", "Name of WSGI application group required."),
    ("WSGIImportScript /x process-group=a", "Name of WSGI application group required."),
    ("WSGIImportScript /x application-group=a", "Name of WSGI process group required."),
    ("WSGIImportScript /x pass-authorization=On", "Invalid option to WSGI import script definition. 'pass-authorization'"),
    ("WSGICallableObject", "WSGICallableObject takes one argument, "),
    ("WSGIProcessGroup \"\"", "WSGIProcessGroup takes one argument, "),
    ("WSGIProcessGroup a b", "WSGIProcessGroup takes one argument, "),
    ("WSGIPassAuthorization yes", "WSGIPassAuthorization must be one of: Off | On, not 'yes'"),
    ("WSGIPassAuthorization On # why", "WSGIPassAuthorization takes one argument, "),
    ("WSGIMapHEADToGET x", "WSGIMapHEADToGET must be one of: Off | On | Auto, not 'x'"),
    ("WSGIPythonOptimize abc", "Invalid value for WSGIPythonOptimize. 'abc'"),
    ("WSGIPythonOptimize -1", "Invalid value for WSGIPythonOptimize. '-1'"),
    ("WSGIPythonHashSeed Random", "WSGIPythonHashSeed must be \"random\" or an integer in range [0; 4294967295], not 'Random'"),
    ("WSGIPythonHashSeed 4294967296", "WSGIPythonHashSeed must be"), ("WSGIPythonHashSeed -1", "WSGIPythonHashSeed must be"),
    ("WSGIPythonHashSeed +1", "WSGIPythonHashSeed must be"),
    ("WSGIMaxInterpreters 0", "WSGIMaxInterpreters must be a whole number from 1 to 1000000, not '0'"),
    ("WSGISwitchInterval 0", "WSGISwitchInterval must be a positive number of seconds. '0'"),
    ("WSGISwitchInterval nan", "WSGISwitchInterval must be a positive number of seconds. 'nan'"),
    ("WSGIAcceptMutex foo", "Accept mutex lock mechanism 'foo' is invalid. Valid accept mutex mechanisms"),
    ("WSGITrustedProxyHeaders X_Foo", "Invalid header name for WSGITrustedProxyHeaders: 'X_Foo'"),
    ("WSGITrustedProxyHeaders X-Forwarded-For X@Y", "Invalid header name for WSGITrustedProxyHeaders: 'X@Y'"),
    ("WSGITrustedProxies", "WSGITrustedProxies requires at least one argument, "),
    ("WSGITrustedProxies foo", "Unable to parse trusted proxy IP address/subnet of \"foo\"."),
    ("WSGITrustedProxies 10.0/8", "Unable to parse trusted proxy IP address/subnet of \"10.0/8\". The specified IP address"),
    (
      "WSGITrustedProxies 10.0.0.0/33",
      "Unable to parse trusted proxy IP address/subnet of \"10.0.0.0/33\". The specified network"
    ),
    ("WSGITrustedProxies ::/0", "Unable to parse trusted proxy IP address/subnet of \"::/0\". The specified network mask"),
    ("WSGITrustedProxies 1.2.3.4/8/8", "Unable to parse trusted proxy IP address/subnet of \"1.2.3.4/8/8\"."),
    ("WSGITrustedProxies 10.0.0.0/", "Unable to parse trusted proxy IP address/subnet of \"10.0.0.0/\"."),
    ("WSGITrustedProxies \"\"", "Unable to parse trusted proxy IP address/subnet of \"\"."),
    ("WSGITelemetryService", "WSGITelemetryService takes 1-2 arguments, "),
    ("WSGITelemetryService unix:/x interval=1 a", "WSGITelemetryService takes 1-2 arguments, "),
    ("WSGITelemetryService udp:x:1", "WSGITelemetryService target must be 'unix:/path', not 'udp:x:1'"),
    ("WSGITelemetryService unix:/\(String(repeating: "x", count: 107))", "WSGITelemetryService target is too long"),
    ("WSGITelemetryService unix:/x interval=0.4", "WSGITelemetryService interval must be at least 0.5 seconds. '0.4'"),
    ("WSGITelemetryService unix:/x foo=1", "WSGITelemetryService second argument must be 'interval=N', not 'foo=1'"),
    ("WSGISlowRequests -1", "WSGISlowRequests threshold must be non-negative. '-1'"),
    ("WSGISlowRequests abc", "WSGISlowRequests threshold must be non-negative. 'abc'"),
    ("WSGITelemetryOptions", "WSGITelemetryOptions: at least one flag required."),
    ("WSGITelemetryOptions foo", "WSGITelemetryOptions: unknown flag 'foo'"),
    ("WSGITelemetryOptions +", "WSGITelemetryOptions: bare '+' / '-' is not a flag."),
    ("WSGITelemetryOptions +CaptureUserAgent All", "WSGITelemetryOptions: cannot mix"),
    ("WSGITelemetryOptions -None", "WSGITelemetryOptions: 'None' may not have"),
    ("WSGILazyInitialization On", "Invalid command"),
  ]

  @Test(arguments: refused)
  func refuses(_ line: String, _ beginning: String) {
    var config = TestConfig()
    let message = config.read(line)
    #expect(message?.hasPrefix(beginning) == true, "\(message ?? "accepted")")
  }

  @Test func globalDirectivesAreRefusedInVirtualHosts() {
    for directive in Directive.table where directive.context == .global {
      var config = TestConfig()
      config.server = ServerIdentity(id: 7, name: "a")
      #expect(config.read("\(directive.name) x")?.contains("cannot occur within <VirtualHost> section") == true)
    }
  }

  static let authScripts = [
    ("WSGIAccessScript", "access"), ("WSGIAuthUserScript", "auth user"), ("WSGIAuthGroupScript", "auth group"),
  ]

  @Test(arguments: authScripts)
  func authScriptsSayWhatIsWrong(_ directive: String, _ kind: String) {
    var config = TestConfig()
    config.path = "/srv"
    #expect(config.read(directive)?.hasPrefix("Location of \(kind) script not supplied.") == true)
    #expect(config.read("\(directive) \"\"")?.hasPrefix("Location of \(kind) script not supplied.") == true)
    #expect(config.read("\(directive) /x a=b")?.hasPrefix("Invalid option to WSGI \(kind) script definition. 'a'") == true)
    #expect(config.read("\(directive) /x application-group=")?.hasPrefix("Invalid name for WSGI application group.") == true)
    #expect(config.read("\(directive) /x application-group=%{GLOBAL}") == nil)
    #expect(config.global.value.childrenNeedPython)
  }

  @Test func aHandlerScriptInAnAccessFileChoosesNoGroups() {
    var config = TestConfig()
    config.path = "/srv"
    config.isAccessFile = true
    #expect(config.read("WSGIHandlerScript h /x process-group=shop")?.contains("in .htaccess") == true)
    #expect(config.read("WSGIHandlerScript h /x application-group=%{GLOBAL}")?.contains("in .htaccess") == true)
    #expect(config.read("WSGIHandlerScript h /x pass-authorization=On") == nil)
    #expect(config.directoryConfig.value.scope.handlerScripts.first?.requiresExecCGI == true)
    #expect(!config.global.value.childrenNeedPython)
  }

  @Test func whatHasNoEffectSaysSo() {
    var config = TestConfig()
    for line in ["WSGISocketPrefix x", "WSGISocketRotation On", "WSGIAcceptMutex default", "WSGIVerboseDebugging On"] {
      #expect(config.read(line) == nil)
    }
    config.read("WSGIDaemonProcess a socket-user=shop")
    #expect(config.global.value.notices.count == 5)
    #expect(config.global.value.notices.allSatisfy { $0.level == .info && $0.message.contains("has no effect") })
  }
}

@Suite struct ImportTests {
  /// A group in a virtual host called `owner`, an import in one called `user`; what the refusal says.
  static let cases: [(owner: ServerIdentity, user: ServerIdentity, refusal: String?)] = [
    (.main, ServerIdentity(id: 2, name: "b"), nil),
    (ServerIdentity(id: 1, name: "a"), ServerIdentity(id: 1, name: "a"), nil),
    (ServerIdentity(id: 1, name: nil), ServerIdentity(id: 1, name: nil), nil),
    (ServerIdentity(id: 1, name: "a"), ServerIdentity(id: 2, name: "a"), nil),
    (ServerIdentity(id: 1, name: "a"), ServerIdentity(id: 0, name: "a"), nil),
    (ServerIdentity(id: 1, name: "a"), ServerIdentity(id: 2, name: "b"), "WSGI process group not accessible. 'g'"),
    (ServerIdentity(id: 1, name: "a"), ServerIdentity(id: 2, name: "A"), "WSGI process group not accessible. 'g'"),
  ]

  @Test(arguments: cases.indices)
  func theGroupMustBeWithinReachWhateverTheOrder(_ index: Int) {
    let test = ImportTests.cases[index]
    let group = (test.owner, "WSGIDaemonProcess g")
    for line in [
      "WSGIImportScript /x process-group=g application-group=a", "WSGIScriptAlias / /x process-group=g application-group=a",
    ] {
      for lines in [[group, (test.user, line)], [(test.user, line), group]] {
        let message = ImportTests.refusal(lines)
        #expect(message == nil ? test.refusal == nil : message?.contains(test.refusal ?? "?") == true, "\(message ?? "accepted")")
      }
    }
  }

  @Test func aGroupThatNobodyDefines() {
    for (group, hint) in [("shpo", "Did you mean 'shop'?"), ("%{SERVER}", "Define it")] {
      let line = "WSGIImportScript /x process-group=\(group) application-group=a"
      let message = ImportTests.refusal([(.main, "WSGIDaemonProcess shop"), (.main, line)])
      let beginning = "WSGI0620: WSGI process group not yet configured. No WSGIDaemonProcess defines '\(group)'"
      #expect(message?.hasPrefix(beginning) == true && message?.contains(hint) == true, "\(message ?? "accepted")")
    }
    #expect(ImportTests.refusal([(.main, "WSGIImportScript /x process-group=%{GLOBAL} application-group=a")]) == nil)
  }

  /// What is wrong with lines of servers, each of which has the name that it is given here.
  private static func refusal(_ lines: [(server: ServerIdentity, text: String)]) -> String? {
    var config = TestConfig()
    var servers: [ConfiguredServer] = []
    for line in lines {
      // What it is called may stand below.
      config.server = ServerIdentity(id: line.server.id, name: nil)
      #expect(config.read(line.text) == nil)
      if !servers.contains(where: { $0.identity == line.server }) {
        servers.append(ConfiguredServer(identity: line.server, config: ServerConfig()))
      }
    }
    return Configuration(global: config.global.value, servers: servers).refusals.first?.message
  }

  static let preloads: [(String, Bool)] = [
    ("WSGIScriptAlias / /x process-group=g application-group=a", true),
    ("WSGIScriptAlias / /x process-group=%{GLOBAL} application-group=%{GLOBAL}", true),
    ("WSGIScriptAlias / /x process-group=g", false), ("WSGIScriptAlias / /x application-group=a", false),
    ("WSGIScriptAlias / /x process-group=g application-group=%{SERVER}", false),
    ("WSGIScriptAlias / /x process-group=%{ENV:x} application-group=a", false),
    ("WSGIScriptAlias / /x process-group=g application-group=a%{b", false),
    ("WSGIScriptAliasMatch / /x process-group=g application-group=a", true),
    ("WSGIScriptAliasMatch /(.*) /x/$1 process-group=g application-group=a", false),
  ]

  @Test(arguments: preloads)
  func anAliasWithBothGroupsFixedIsLoadedAtStart(_ line: String, _ isLoaded: Bool) {
    var config = TestConfig()
    config.read("WSGIDaemonProcess g")
    #expect(config.read(line) == nil)
    #expect((config.global.value.imports.count == 1) == isLoaded)
    #expect(!config.global.value.childrenNeedPython)
  }

  @Test func anImportIntoHttpdChildrenAsksForPython() {
    var config = TestConfig()
    config.read("WSGIImportScript /x process-group=%{GLOBAL} application-group=%{RESOURCE}")
    #expect(config.global.value.childrenNeedPython)
    #expect(config.global.value.imports.first?.processGroup == [])
    #expect(config.global.value.imports.first.map { ByteText($0.applicationGroup) } == "%{RESOURCE}")
  }
}

@Suite struct InterpreterOptionsTests {
  static let openings: [(String, String?)] = [
    (">", nil), ("process-group=a>", nil), ("Process-Group=a APPLICATION-group=b >", nil), ("process-group=>", nil),
    ("process-group='a b'>", nil), ("\"process-group=a b\">", nil),
    ("process-group=a", "<WSGIInterpreterOptions> directive missing closing '>'."),
    ("foo>", "<WSGIInterpreterOptions>: argument 'foo' is not of the form key=value"),
    ("foo=a>", "<WSGIInterpreterOptions>: unknown selector 'foo'"),
    ("process-group=a process-group=b>", "<WSGIInterpreterOptions>: process-group given more than once"),
    ("application-group=a application-group=a>", "<WSGIInterpreterOptions>: application-group given more than once"),
  ]

  @Test(arguments: openings)
  func opens(_ arguments: String, _ refusal: String?) {
    var config = TestConfig()
    let message = config.read("<WSGIInterpreterOptions \(arguments)")
    #expect(message == nil ? refusal == nil : message?.hasPrefix(refusal ?? "nothing") == true, "\(message ?? "accepted")")
  }

  @Test func scopedDirectivesStayInTheirBlock() {
    var config = TestConfig()
    config.read("WSGISwitchInterval 1")
    config.read("<WSGIInterpreterOptions process-group=%{GLOBAL} application-group=shop>")
    config.read("WSGISwitchInterval 2")
    config.read("WSGIPythonPath /a:/b")
    config.read("WSGIRestrictStdin On")
    config.closeSection()
    config.read("WSGIRestrictStdin Off")
    let global = config.global.value
    #expect(global.engine.interpreter.switchInterval == 1)
    #expect(global.engine.interpreter.restrictStdin == false)
    #expect(global.engine.interpreter.pythonPath == nil)
    #expect(global.engine.interpreterOptions.count == 1)
    #expect(global.engine.interpreterOptions[0].settings.switchInterval == 2)
    #expect(global.engine.interpreterOptions[0].settings.pythonPath?.text == "/a:/b")
    #expect(global.engine.interpreterOptions[0].settings.restrictStdin == true)
    #expect(global.engine.interpreterOptions[0].processGroup == [])
    #expect(global.engine.interpreterOptions[0].specificity == 2)
  }

  @Test func whatWouldActOnTheWholeServerIsRefusedInside() {
    for directive in Directive.table where !directive.isScopable && directive.context != .directoryAuth {
      var config = TestConfig()
      config.read("<WSGIInterpreterOptions >")
      let message = config.read("\(directive.name) On >")
      #expect(
        message?.contains(directive.isSection ? "cannot be nested" : "cannot occur within <WSGIInterpreterOptions>") == true)
    }
    #expect(throws: ConfigError.self) { try Directive.checkScopable("ServerAdmin") }
    #expect(throws: ConfigError.self) { try Directive.checkScopable("WSGIScriptAlias") }
    #expect(throws: Never.self) { try Directive.checkScopable("wsgiswitchinterval") }
  }
}
