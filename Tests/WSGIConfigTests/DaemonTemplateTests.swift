import Testing
import WSGICore

@testable import WSGIConfig

@Suite struct DaemonTemplateTests {
  private func template(_ options: String, isRoot: Bool = true) throws -> GroupConfig {
    var config = TestConfig()
    config.environment = testEnvironment(isRoot: isRoot)
    if let message = config.read("WSGIDaemonTemplate a \(options)") { throw ConfigError(message) }
    return try #require(config.global.value.groups.first)
  }

  @Test func defaults() throws {
    let group = try template("")
    let template = try #require(group.template)
    #expect(template.key == .owner && template.runsAsOwner && template.userIDs == 1000...59_999)
    #expect(template.maximumGroups == 1000 && template.startRate == 20)
    #expect(group.minimumProcesses == 0 && group.settings.processes == 1 && group.hasCleanEnvironment && group.user == nil)
  }

  static let accepted: [(String, @Sendable (GroupConfig) -> Bool)] = [
    ("key=%{HOST}", { $0.template?.key == .host }), ("key=%{SERVER}", { $0.template?.key == .server }),
    ("key=%{RESOURCE}", { $0.template?.key == .resource }),
    ("key=%{ENV:TENANT}", { $0.template?.key == .variable(Array("TENANT".utf8)) }),
    ("user=shop", { $0.template?.runsAsOwner == false && $0.user?.uid == 1001 }),
    ("user=shop user=%{OWNER}", { $0.template?.runsAsOwner == true && $0.user == nil }),
    ("group=staff", { $0.group == 50 && $0.template?.runsAsOwner == true }),
    ("uid-range=5-5", { $0.template?.userIDs == 5...5 }), ("max-groups=10000", { $0.template?.maximumGroups == 10_000 }),
    ("start-rate=1", { $0.template?.startRate == 1 }), ("environment=all", { !$0.hasCleanEnvironment }),
    ("processes=1-3", { $0.minimumProcesses == 1 && $0.settings.processes == 3 }),
    ("threads=3 queue-limit=5", { $0.settings.threads == 3 && $0.queueLimit == 5 }),
    ("user=shop script-user=shop", { $0.settings.scriptOwner == .user(1001) }),
  ]

  @Test(arguments: accepted.indices)
  func takes(_ index: Int) throws {
    let (options, isSet) = DaemonTemplateTests.accepted[index]
    #expect(try isSet(template(options)), "\(options)")
  }

  static let refused: [(String, String)] = [
    ("key=shop", "Invalid key for WSGI daemon process. key=shop: it must be %{OWNER}"), ("key=%{ENV:}", "Invalid key"),
    ("key=%{GLOBAL}", "Invalid key"), ("user=root", "WSGI process blocked from running as root."),
    ("uid-range=0-5", "Invalid user id range"), ("uid-range=9-5", "Invalid user id range"),
    ("uid-range=5", "Invalid user id range"),
    ("uid-range=1-4294967295", "Invalid user id range"), ("max-groups=0", "Invalid number of groups"),
    ("max-groups=10001", "Invalid number of groups"), ("start-rate=0", "Invalid start rate"),
    ("threads=0", "Invalid thread count"), ("script-user=shop", "Invalid option to WSGI daemon process definition."),
    ("home=%{OWNER}/app", "Invalid value for WSGI daemon process. home=%{OWNER}/app: %{OWNER} has no meaning here"),
    ("home=%{USER}", "Invalid home directory"), ("keys=%{HOST}", "Invalid option to WSGI daemon process definition. There is no"),
  ]

  @Test(arguments: refused)
  func refuses(_ options: String, _ beginning: String) {
    var config = TestConfig()
    let message = config.read("WSGIDaemonTemplate a \(options)")
    #expect(message?.hasPrefix(beginning) == true, "\(message ?? "accepted")")
    #expect(config.global.value.groups.isEmpty)
  }

  @Test func onlyRootRunsScriptsAsTheirOwners() throws {
    #expect(throws: ConfigError.self) { try template("", isRoot: false) }
    #expect(try template("user=shop", isRoot: false).template != nil)
  }

  @Test func aTenantsGroupHasItsNamesAndPlaces() throws {
    let template = try template(
      "home=%{HOME}/site python-home=%{HOME}/venv python-path=%{HOME}/a:/srv/%{USER} display-name=wsgi:%{KEY}"
        + " cgroup=/sys/fs/x/%{KEY}"
    )
    let user = UserRecord(name: "alice", uid: 1002, gid: 100, home: "/home/alice")
    let group = template.made(for: try #require(TenantKey("shop".utf8)), user: user)
    #expect(group.name == "a/shop" && group.template == nil && group.user == user && group.group == 100)
    #expect(group.settings.home?.text == "/home/alice/site" && group.settings.pythonHome?.text == "/home/alice/venv")
    #expect(group.settings.engine.interpreter.pythonPath?.text == "/home/alice/a:/srv/alice")
    #expect(group.displayName == "wsgi:shop" && group.settings.controlGroup?.text == "/sys/fs/x/shop")
    #expect(group.settings.scriptOwner == .tenant(user: 1002, group: 100))
  }

  @Test(arguments: ["a", "A.b_c@d-9", String(repeating: "x", count: 64), "_", "@"])
  func keys(_ text: String) { #expect(TenantKey(text.utf8)?.bytes == Array(text.utf8)) }

  @Test(arguments: ["", ".", "-a", ".a", "a/b", "a b", "ä", "a\0", String(repeating: "x", count: 65), "a:1", "a%b"])
  func noKeys(_ text: String) { #expect(TenantKey(text.utf8) == nil) }

  @Test func aRequestYieldsAKey() throws {
    var facts = TestFacts()
    facts.variables = ["TENANT": "shop", "HOST": "ALIAS.example.com", "PATH": "../x"]
    func key(_ key: GroupTemplate.Key, owner: String = "") throws(Refusal) -> String {
      try key.value(facts) { Array(owner.utf8) }.bytes.text
    }
    #expect(try key(.owner, owner: "alice") == "alice" && key(.host) == "alias.example.com" && key(.server) == "www.example.com")
    #expect(try key(.resource) == "www.example.com@7C@2Fapp")
    #expect(try key(.variable(Array("TENANT".utf8))) == "shop")
    #expect(try key(.variable(Array("HOST".utf8))) == "alias.example.com")
    facts.host = "WWW.Example.COM."
    #expect(try key(.host) == "www.example.com")
    #expect(throws: Refusal.self) { try key(.variable(Array("NOTHING".utf8))) }
    for (name, status) in [("NOTHING", Int32(500)), ("PATH", 404)] {
      do throws(Refusal) {
        _ = try key(.variable(Array(name.utf8)))
        Issue.record("\(name) yields a key")
      } catch {
        #expect(error.status == status)
      }
    }
  }

  @Test func placesOfTenantsLieBehindThoseOfGroups() {
    var config = TestConfig()
    for line in ["WSGIDaemonTemplate a max-groups=3", "WSGIDaemonProcess b", "WSGIDaemonTemplate c max-groups=2"] {
      #expect(config.read(line) == nil)
    }
    let configuration = Configuration(global: config.global.value, servers: [])
    #expect([0, 1, 2, 3].map { configuration.tenantPlaces(of: $0) } == [3..<6, 6..<6, 6..<8, 0..<0])
    #expect(configuration.tenantCount == 5)
  }
}
