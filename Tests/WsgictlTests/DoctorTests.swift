import Testing

@testable import wsgictl

@Suite struct DoctorTests {
  @Test func whatTheModuleSays() {
    let test = ConfigurationTest(
      status: 0,
      """
      [Mon] [wsgi:warn] [pid 1] WSGI0307: WSGIScriptAlias / leads to /a
      wsgi-server version=7.0 threads=25 python-home=
      wsgi-group name=a%20b%25c home=/srv/%C3%A4 processes=2
      wsgi-script path=/x group=a%20b%25c
      Syntax OK
      """)
    #expect(test.server?["threads"] == "25" && test.server?["python-home"] == nil)
    #expect(test.groups == [["name": "a b%c", "home": "/srv/ä", "processes": "2"]])
    #expect(test.scripts.first?["group"] == "a b%c")
    let found = test.findings { $0 == "WSGI0307" ? "mend it" : nil }
    #expect(
      found.map(\.line) == [
        "warn configuration: WSGI0307: WSGIScriptAlias / leads to /a; wsgictl explain WSGI0307: mend it\n"
      ])
  }

  @Test func anErrorHasItsPlace() {
    let test = ConfigurationTest(status: 1, "AH00526: Syntax error on line 3 of /x:\nInvalid command 'Foo', perhaps misspelled\n")
    #expect(
      test.findings { _ in nil }.map(\.message) == [
        "AH00526: Syntax error on line 3 of /x: Invalid command 'Foo', perhaps misspelled"
      ])
    let missing = ConfigurationTest(status: 1, "Invalid command 'WSGIScriptAlias', perhaps misspelled")
    #expect(missing.findings { _ in nil }.first?.check == "module")
    #expect(ConfigurationTest(status: nil, "").findings { _ in nil }.first?.level == .fail)
  }

  @Test(arguments: [
    "wsgi-group name=%", "wsgi-group name=%4", "wsgi-group name=%ZZ", "wsgi-group", "wsgi-group =", "wsgi-group a=",
  ])
  func brokenLines(_ line: String) { #expect(ConfigurationTest(status: 0, line).groups.count == 1) }

  @Test func theLogSinceTheLastStart() {
    let found = LogChecks.findings(
      "/log",
      in: """
        WSGI0105: of an earlier run
        AH00489: Apache/2.4 configured -- resuming normal operations
        WSGI0146: first
        WSGI0146: second
        WSGIX WSGI12 WSGI0612: a stack
        """)
    #expect(found.map(\.level) == [.warn, .warn])
    #expect(found.first?.message == "/log (2 times): WSGI0146: second")
    #expect(found.allSatisfy { !$0.remedy.isEmpty })
    #expect(LogChecks.findings("/log", in: "").map(\.level) == [.ok])
  }

  @Test func refusalsOfSecurityModules() {
    let kernel = """
      6,1,2,-;audit: apparmor="DENIED" operation="open" profile="apache2" name="/srv/app.py" pid=3 comm="wsgi-worker" mask="r"
      6,1,2,-;audit: apparmor="DENIED" operation="open" profile="apache2" name="/srv/app.py" pid=4 comm="wsgi-worker" mask="r"
      6,1,2,-;audit: apparmor="DENIED" operation="open" profile="cups" name="/etc/x" comm="cupsd"
      """
    let found = SystemChecks.refusals(in: kernel, "AppArmor", mark: "apparmor=\"DENIED\"")
    #expect(found.count == 1 && found[0].message.contains("/srv/app.py") && found[0].message.contains("wsgi-worker"))
    let audit = "type=AVC msg=audit(1): avc:  denied  { read } for  pid=1 comm=\"httpd\" name=\"app.wsgi\" dev=\"sda\""
    #expect(SystemChecks.refusals(in: audit, "SELinux", mark: "avc:  denied").count == 1)
  }

  @Test func debiansPackage() throws {
    let directory = try ServerDirectory(nil, hasPages: false)
    defer { directory.remove() }
    #expect(SystemChecks.packages(in: directory.path).isEmpty)
    _ = try directory.write("libapache2-mod-wsgi-py3.list", [])
    #expect(SystemChecks.packages(in: directory.path).first?.remedy.contains("purge") == true)
  }

  @Test func jsonAndTerminals() {
    let odd = Finding.warn("log", "a \"quoted\" \\ path\u{1B}[31m\nnext", "")
    #expect(odd.line == "warn log: a \"quoted\" \\ path [31m next\n")
    #expect(
      Finding.json([odd]) == "[{\"level\": \"warn\", \"check\": \"log\", "
        + "\"message\": \"a \\\"quoted\\\" \\\\ path [31m next\", \"remedy\": \"\"}]\n")
    #expect(Finding.json([]) == "[]\n")
    #expect(Finding(line: "fail\tmodule\tm\tr") == .fail("module", "m", "r"))
    #expect(Finding(line: "fail\tmodule") == nil)
  }
}
