import Testing

@testable import WSGIConfig

@Suite struct DestinationTests {
  /// Lines of the main server, a directory section's, and what a request for `/app/page` in it then gets.
  struct Case: Sendable, CustomTestStringConvertible {
    var server: [String] = []
    var directory: [String] = []
    var isAliased = false
    var handler = false
    var process = ""
    var application = "www.example.com|/app"
    var callable = "application"
    var lookup = ProcessGroupLookup.embedded
    var testDescription: String { (server + directory).joined(separator: "; ") }
  }

  static let cases: [Case] = [
    Case(),
    Case(server: ["WSGIProcessGroup shop"], process: "shop", lookup: .daemon(0)),
    Case(server: ["WSGIProcessGroup shop"], directory: ["WSGIProcessGroup blog"], process: "blog", lookup: .daemon(1)),
    Case(server: ["WSGIProcessGroup shop"], directory: ["WSGIProcessGroup %{GLOBAL}"]),
    Case(server: ["WSGIProcessGroup nowhere"], process: "nowhere", lookup: .unknown),
    Case(directory: ["WSGIProcessGroup %{SERVER}"], process: "www.example.com", lookup: .unknown),
    Case(directory: ["WSGIApplicationGroup %{GLOBAL}"], application: ""),
    Case(directory: ["WSGICallableObject app"], callable: "app"),
    Case(directory: ["WSGICallableObject %{ENV:callable}"], callable: "made"),
    Case(
      server: [
        "WSGIScriptAlias /app /srv/app.wsgi process-group=shop application-group=%{SERVER} callable-object=%{ENV:callable}"
      ],
      directory: ["WSGIProcessGroup blog", "WSGIApplicationGroup x", "WSGICallableObject y"], isAliased: true,
      process: "shop", application: "www.example.com", callable: "%{ENV:callable}", lookup: .daemon(0)),
    Case(
      server: ["WSGIScriptAlias /app /srv/app.wsgi process-group=%{GLOBAL}"], directory: ["WSGIProcessGroup blog"],
      isAliased: true),
    Case(
      server: ["WSGIScriptAlias /app /srv/app.wsgi"], directory: ["WSGIProcessGroup blog"], isAliased: true, process: "blog",
      lookup: .daemon(1)),
    Case(
      directory: ["WSGIHandlerScript h /srv/h.py process-group=shop", "WSGICallableObject y", "WSGIProcessGroup blog"],
      handler: true, process: "shop", callable: "handle_request", lookup: .daemon(0)),
    Case(directory: ["WSGIHandlerScript h /srv/h.py"], handler: true, callable: "handle_request"),
    // WSGIRestrictProcess
    Case(server: ["WSGIRestrictProcess shop", "WSGIProcessGroup shop"], process: "shop", lookup: .daemon(0)),
    Case(server: ["WSGIRestrictProcess SHOP", "WSGIProcessGroup shop"], process: "shop", lookup: .daemon(0)),
    Case(server: ["WSGIRestrictProcess shop"], lookup: .restricted),
    Case(server: ["WSGIRestrictProcess shop %{GLOBAL}"]),
    Case(server: ["WSGIRestrictProcess"], lookup: .restricted),
    Case(
      server: ["WSGIRestrictProcess shop"], directory: ["WSGIRestrictProcess blog", "WSGIProcessGroup shop"], process: "shop",
      lookup: .restricted),
    Case(server: ["WSGIRestrictProcess a"], directory: ["WSGIProcessGroup nowhere"], process: "nowhere", lookup: .restricted),
    // %{AUTO}
    Case(server: ["WSGIApplicationGroup %{AUTO}"]),
    Case(
      server: ["WSGIApplicationGroup %{AUTO}", "WSGIScriptAlias /app /srv/app.wsgi process-group=shop"], isAliased: true,
      process: "shop", application: "", lookup: .daemon(0)),
    Case(
      server: [
        "WSGIApplicationGroup %{AUTO}", "WSGIScriptAlias /app /srv/app.wsgi process-group=shop",
        "WSGIScriptAlias /b /srv/b.wsgi process-group=shop",
      ], isAliased: true, process: "shop", lookup: .daemon(0)),
    Case(
      server: [
        "WSGIApplicationGroup %{AUTO}", "WSGIScriptAlias /app /srv/app.wsgi process-group=shop",
        "WSGIScriptAlias /b /srv/app.wsgi process-group=shop", "WSGIScriptAlias /c /srv/c.wsgi process-group=blog",
      ], isAliased: true, process: "shop", application: "", lookup: .daemon(0)),
    Case(
      server: ["WSGIApplicationGroup %{AUTO}", "WSGIScriptAlias /app /srv/apps/ process-group=shop"], isAliased: true,
      process: "shop", lookup: .daemon(0)),
    Case(
      server: ["WSGIApplicationGroup %{AUTO}", "WSGIScriptAlias /app /srv/app.wsgi process-group=%{ENV:group}"], isAliased: true,
      process: "shop", lookup: .daemon(0)),
  ]

  @Test(arguments: cases)
  func resolves(_ test: Case) throws {
    var config = TestConfig()
    config.read("WSGIDaemonProcess shop")
    config.read("WSGIDaemonProcess blog")
    for line in test.server { #expect(config.read(line) == nil) }
    config.path = "/srv/"
    for line in test.directory { #expect(config.read(line) == nil) }
    let server = config.serverConfig.value
    let directory = config.directoryConfig.value
    let configuration = Configuration(
      global: config.global.value, servers: [ConfiguredServer(identity: .main, config: server)])
    let name = [UInt8]("h".utf8)
    let handler = test.handler ? configuration.handlerScript(named: name.span, server, directory) : nil
    #expect(!test.handler || handler != nil)
    let facts = TestFacts(variables: ["callable": "made", "group": "shop"])
    let destination = configuration.destination(
      server: .main, server, directory, alias: test.isAliased ? server.aliases.first : nil, handler: handler, facts)
    #expect(ByteText(destination.processGroup).description == test.process)
    #expect(ByteText(destination.applicationGroup).description == test.application)
    #expect(ByteText(destination.callableObject).description == test.callable)
    #expect(destination.lookup == test.lookup)
  }

  @Test func theDeploymentOfTheManualsIsASingleApplication() {
    var config = TestConfig()
    config.read("WSGIDaemonProcess shop")
    config.read("WSGIScriptAlias / /srv/shop/shop.wsgi")
    config.path = "/srv/shop/"
    config.read("WSGIProcessGroup shop")
    let servers = [ConfiguredServer(identity: .main, config: config.serverConfig.value)]
    #expect(Configuration(global: config.global.value, servers: servers).servesSingleApplication == [true])
    // A section of which nothing is known before a request comes.
    config.path = "/srv/other/"
    config.read("WSGIProcessGroup shop")
    #expect(Configuration(global: config.global.value, servers: servers).servesSingleApplication == [false])
  }

  @Test func aDispatchScriptHasTheLastWord() {
    var config = TestConfig()
    config.read("WSGIDaemonProcess shop")
    config.read("WSGIRestrictProcess %{GLOBAL} blog")
    let server = config.serverConfig.value
    let configuration = Configuration(global: config.global.value, servers: [ConfiguredServer(identity: .main, config: server)])
    let facts = TestFacts()
    var destination = configuration.destination(server: .main, server, DirectoryConfig(), alias: nil, handler: nil, facts)
    #expect(destination.lookup == .embedded)
    configuration.redirect(
      &destination, processGroup: nil, applicationGroup: "%{SERVER}", callableObject: nil, server: .main, server,
      DirectoryConfig(),
      facts)
    #expect(ByteText(destination.applicationGroup) == "www.example.com")
    #expect(destination.lookup == .embedded && ByteText(destination.callableObject) == "application")
    configuration.redirect(
      &destination, processGroup: "shop", applicationGroup: nil, callableObject: "app", server: .main, server, DirectoryConfig(),
      facts)
    #expect(destination.lookup == .restricted && ByteText(destination.callableObject) == "app")
  }

  @Test func flagsHaveDefaultsAndTheAliasDecidesOnAuthorization() {
    var config = TestConfig()
    config.read("WSGIScriptAlias / /srv/app.wsgi pass-authorization=Off")
    config.read("WSGIPassAuthorization On")
    config.read("WSGIErrorOverride On")
    config.path = "/srv/"
    config.read("WSGIScriptReloading Off")
    config.read("WSGIErrorOverride Off")
    let server = config.serverConfig.value
    let directory = config.directoryConfig.value
    let configuration = Configuration(global: config.global.value, servers: [ConfiguredServer(identity: .main, config: server)])
    let plain = configuration.destination(server: .main, server, DirectoryConfig(), alias: nil, handler: nil, TestFacts())
    #expect(plain.flags.isOn(.passAuthorization) && plain.flags.isOn(.scriptReloading) && plain.flags.isOn(.errorOverride))
    #expect(!plain.flags.isOn(.chunkedRequest) && plain.mapHEADToGET == .auto)
    let inner = configuration.destination(
      server: .main, server, directory, alias: server.aliases.first, handler: nil, TestFacts())
    #expect(!inner.flags.isOn(.passAuthorization) && !inner.flags.isOn(.scriptReloading) && !inner.flags.isOn(.errorOverride))
  }

  /// Owner of a group, and the server of a request: whether it may use the group.
  static let visibility: [(owner: ServerIdentity, server: ServerIdentity, isVisible: Bool)] = [
    (.main, ServerIdentity(id: 3, name: "b"), true), (.main, .main, true),
    (ServerIdentity(id: 1, name: "a"), ServerIdentity(id: 1, name: "a"), true),
    (ServerIdentity(id: 1, name: "a"), ServerIdentity(id: 2, name: "a"), true),
    (ServerIdentity(id: 1, name: "a"), ServerIdentity(id: 2, name: "A"), false),
    (ServerIdentity(id: 1, name: "a"), ServerIdentity(id: 2, name: "b"), false),
    (ServerIdentity(id: 1, name: "a"), ServerIdentity(id: 0, name: "b"), false),
    (ServerIdentity(id: 1, name: nil), ServerIdentity(id: 2, name: nil), false),
  ]

  @Test(arguments: visibility.indices)
  func aGroupIsSeenFromItsOwnServerAndNamesakes(_ index: Int) {
    let (owner, server, isVisible) = DestinationTests.visibility[index]
    var config = TestConfig()
    // The name at that point need not be the one the server ends up with.
    config.server = ServerIdentity(id: owner.id, name: "not yet")
    config.read("WSGIDaemonProcess g")
    let configuration = Configuration(
      global: config.global.value, servers: [ConfiguredServer(identity: owner, config: ServerConfig())])
    let lookup = configuration.processGroup(named: [0x67], for: server)
    #expect(lookup == (isVisible ? .daemon(0) : .notVisible))
  }
}
