import Testing

@testable import WSGIConfig

@Suite struct MergeTests {
  @Test(arguments: ScopeFlags.Flag.allCases)
  func theInnerFlagWinsWhereItIsSet(_ flag: ScopeFlags.Flag) {
    for outer in [nil, true, false] as [Bool?] {
      for inner in [nil, true, false] as [Bool?] {
        var a = ScopeFlags()
        var b = ScopeFlags()
        a[flag] = outer
        b[flag] = inner
        #expect(a.overlaid(by: b)[flag] == inner ?? outer)
        let others = ScopeFlags.Flag.allCases.filter { $0 != flag }
        #expect(others.allSatisfy { a.overlaid(by: b)[$0] == nil })
      }
    }
  }

  @Test func onlyScriptReloadingIsOnByDefault() {
    #expect(ScopeFlags.Flag.allCases.filter(ScopeFlags.defaults.isOn) == [.scriptReloading])
  }

  /// Lines of an outer scope, lines of an inner one, and what is to hold of the two merged.
  static let cases: [(outer: [String], inner: [String], check: @Sendable (ScopeSettings) -> Bool)] = [
    (["WSGIProcessGroup a"], [], { $0.processGroup == .fixed([0x61]) }),
    (["WSGIProcessGroup a"], ["WSGIProcessGroup b"], { $0.processGroup == .fixed([0x62]) }),
    (["WSGIProcessGroup a"], ["WSGIProcessGroup %{GLOBAL}"], { $0.processGroup == .global }),
    (["WSGIApplicationGroup a"], ["WSGIApplicationGroup %{SERVER}"], { $0.applicationGroup == .server }),
    (["WSGICallableObject a"], ["WSGICallableObject b"], { $0.callableObject == .fixed([0x62]) }),
    (["WSGIMapHEADToGET On"], [], { $0.mapHEADToGET == .on }),
    (["WSGIMapHEADToGET On"], ["WSGIMapHEADToGET Auto"], { $0.mapHEADToGET == .auto }),
    (["WSGIDispatchScript /a"], ["WSGIDispatchScript /b"], { $0.dispatchScript.map { ByteText($0.path) } == "/b" }),
    (["WSGIRestrictProcess a b"], ["WSGIRestrictProcess C"], { $0.restrictProcess == [[0x63]] }),
    (["WSGIRestrictProcess a b"], [], { $0.restrictProcess?.count == 2 }),
    (["WSGIRestrictProcess a", "WSGIRestrictProcess b"], [], { $0.restrictProcess == [[0x62]] }),
    (["WSGIRestrictProcess %{GLOBAL}"], [], { $0.restrictProcess == [[]] }),
    (["WSGITrustedProxies 10"], ["WSGITrustedProxies 11", "WSGITrustedProxies 12 13"], { $0.trustedProxies?.count == 3 }),
    (["WSGITrustedProxies 10"], [], { $0.trustedProxies?.count == 1 }),
    (
      ["WSGITrustedProxyHeaders X-A", "WSGITrustedProxyHeaders X-B X-C"], [],
      { $0.trustedProxyHeaders?.map { ByteText($0.variable) } == ["HTTP_X_A", "HTTP_X_B", "HTTP_X_C"] }
    ),
    (["WSGITrustedProxyHeaders X-A X-B"], ["WSGITrustedProxyHeaders x-c"], { $0.trustedProxyHeaders?.count == 1 }),
    (
      ["WSGIHandlerScript a /1", "WSGIHandlerScript b /2"], ["WSGIHandlerScript b /3", "WSGIHandlerScript c /4"],
      { $0.handlerScripts.map { ByteText($0.path) } == ["/1", "/3", "/4"] }
    ),
  ]

  @Test(arguments: cases.indices)
  func anInnerScopeWins(_ index: Int) {
    let test = MergeTests.cases[index]
    // The same rule for a virtual host in the main server, and for a section in a section.
    var main = TestConfig()
    var virtual = TestConfig()
    virtual.server = ServerIdentity(id: 1, name: nil)
    var outer = TestConfig()
    outer.path = "/srv"
    var inner = TestConfig()
    inner.path = "/srv/app"
    for line in test.outer { #expect(main.read(line) == nil && outer.read(line) == nil) }
    for line in test.inner { #expect(virtual.read(line) == nil && inner.read(line) == nil) }
    #expect(test.check(ServerConfig.merge(main.serverConfig.value, virtual.serverConfig.value).scope))
    #expect(test.check(DirectoryConfig.merge(outer.directoryConfig.value, inner.directoryConfig.value).scope))
    #expect(main.directoryConfig.value.isEmpty && outer.serverConfig.value.scope.isEmpty)
  }

  @Test func aliasesOfAVirtualHostComeFirst() {
    var main = TestConfig()
    var virtual = TestConfig()
    main.read("WSGIScriptAlias /a /1")
    main.read("WSGIScriptAlias /b /2")
    virtual.read("WSGIScriptAlias /c /3")
    let merged = ServerConfig.merge(main.serverConfig.value, virtual.serverConfig.value)
    #expect(merged.aliases.map { ByteText($0.target) } == ["/3", "/1", "/2"])
  }

  @Test func authScriptsAreReplacedOneByOne() {
    var outer = TestConfig()
    outer.path = "/srv"
    var inner = TestConfig()
    inner.path = "/srv/app"
    #expect(outer.directoryConfig.value.isEmpty)
    outer.read("WSGIAuthUserScript /1")
    outer.read("WSGIAuthGroupScript /2 application-group=%{RESOURCE}")
    outer.read("WSGIGroupAuthoritative Off")
    inner.read("WSGIAuthUserScript /3 application-group=%{SERVER}")
    inner.read("WSGIAccessScript /4")
    let merged = DirectoryConfig.merge(outer.directoryConfig.value, inner.directoryConfig.value)
    #expect(merged.authUserScript.map { ByteText($0.path) } == "/3")
    #expect(merged.authUserScript?.applicationGroup == .server)
    #expect(merged.authGroupScript.map { ByteText($0.path) } == "/2")
    #expect(merged.authGroupScript?.applicationGroup.fixedName.map { ByteText($0) } == "%{RESOURCE}")
    #expect(merged.accessScript?.applicationGroup == .global)
    #expect(merged.groupAuthoritative == false)
    #expect(!merged.isEmpty)
  }
}
