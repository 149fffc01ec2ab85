import Testing
import WSGICore

@testable import WSGIConfig

@Suite struct ConfigurationDumpTests {
  /// The lines for a configuration of the main server.
  private func lines(_ configuration: [String]) -> [String] {
    var test = TestConfig()
    for line in configuration { #expect(test.read(line) == nil) }
    let server = ConfiguredServer(identity: .main, config: test.serverConfig.value)
    var system = SystemFacts()
    system.user = UserRecord(name: "www-data", uid: 33, gid: 33, home: "/var/www")
    return ConfigurationDump(Configuration(global: test.global.value, servers: [server]), system).lines(server: [("mpm", "event")]
    )
  }

  @Test func groupsAndScripts() throws {
    let found = lines([
      "WSGIDaemonProcess shop user=shop processes=2 threads=3 python-home=/venv home=\"/srv/a b\"",
      "WSGIDaemonProcess other",
      "WSGIScriptAlias /a /srv/app.wsgi process-group=shop application-group=%{GLOBAL}",
      "WSGIScriptAlias /b /srv/b.wsgi", "WSGIScriptAlias /c /srv/c.wsgi process-group=nowhere",
    ])
    try #require(found.count == 5)
    #expect(found[0].hasPrefix("wsgi-server mpm=event user=www-data") && found[0].hasSuffix("embedded=On"))
    #expect(
      found[1].hasPrefix("wsgi-group name=shop user=shop template= processes=2 threads=3 home=/srv/a%20b python-home=/venv "))
    #expect(found[2].contains("name=other user=www-data"))
    #expect(found[3].hasPrefix("wsgi-script path=/srv/app.wsgi group=shop url=/a interpreter=main "))
    #expect(found[4].hasPrefix("wsgi-script path=/srv/b.wsgi group= url=/b interpreter=other "))
  }

  @Test func nothingOfAValueIsAnotherLine() throws {
    let found = lines(["WSGIDaemonProcess shop display-name=x home=\"/srv/a\nwsgi-server user=root\tx%41é\""])
    try #require(found.count == 2)
    #expect(found[1].contains("home=/srv/a%0Awsgi-server%20user=root%09x%2541%C3%A9 "))
  }
}
