import Testing
import WSGICore

@testable import WSGIConfig

@Suite struct DiagnosticTests {
  /// A system with a few files. Every directory above a file exists, mode 0755, unless it is listed itself.
  struct System {
    var files: [String: (isDirectory: Bool, mode: UInt32, uid: UInt32, gid: UInt32)] = [
      "/srv/app.wsgi": (false, 0o644, 0, 0), "/srv/b.wsgi": (false, 0o644, 0, 0),
      "/venv": (true, 0o755, 0, 0), "/venv/pyvenv.cfg": (false, 0o644, 0, 0),
      "/venv312": (true, 0o755, 0, 0), "/venv312/pyvenv.cfg": (false, 0o644, 0, 0),
      "/usr": (true, 0o755, 0, 0), "/usr/lib/python3.11": (true, 0o755, 0, 0), "/usr/bin/python3.11": (false, 0o755, 0, 0),
      "/usr/bin/python3.12": (false, 0o755, 0, 0), "/empty": (true, 0o755, 0, 0),
    ]
    var contents = [
      "/venv/pyvenv.cfg": "home = /usr/bin\nversion = 3.11.2\n",
      "/venv312/pyvenv.cfg": "home=/x\nversion_info = 3.12.1.final.0\n",
    ]
    var mpm = "event"

    var facts: SystemFacts {
      var all = files
      for path in files.keys {
        var parent = path[...]
        while let slash = parent.lastIndex(of: "/") {
          parent = parent[..<slash]
          let name = parent.isEmpty ? "/" : String(parent)
          if all[name] == nil { all[name] = (true, 0o755, 0, 0) }
        }
      }
      let known = all
      let texts = contents
      var system = SystemFacts()
      system.file = { path, _ in
        guard let file = known[path.description] else { return .missing }
        return .found(isDirectory: file.isDirectory, mode: file.mode, uid: file.uid, gid: file.gid)
      }
      system.content = { path, _ in texts[path.description].map { [UInt8]($0.utf8) } }
      system.groups = { $0.uid == 1001 ? [2001, 50] : [$0.gid] }
      system.hasLocale = { $0 == "C.UTF-8" }
      system.hasEngine = { $0 == "3.11" }
      system.user = UserRecord(name: "www-data", uid: 33, gid: 33, home: "/var/www")
      system.group = 33
      system.mpm = mpm
      system.processLimit = 256
      return system
    }
  }

  struct Case: Sendable, CustomTestStringConvertible {
    let what: String
    var lines: [String]
    /// Lines of a virtual host.
    var virtual: [String] = []
    var section: (path: ByteText, lines: [String])?
    var change: @Sendable (inout System) -> Void = { _ in }
    /// Numbers, and a piece of each message.
    var expected: [(Int, String)] = []
    var testDescription: String { what }
  }

  static let cases: [Case] = [
    Case(what: "good", lines: ["WSGIScriptAlias / /srv/app.wsgi"]),
    Case(
      what: "good daemon",
      lines: [
        "WSGIDaemonProcess a user=shop python-home=/venv locale=C.UTF-8 home=/srv python-path=/srv:/usr",
        "WSGIScriptAlias / /srv/app.wsgi process-group=a",
      ]),
    Case(what: "good long before short", lines: ["WSGIScriptAlias /a /srv/app.wsgi", "WSGIScriptAlias / /srv/b.wsgi"]),
    Case(what: "beside each other", lines: ["WSGIScriptAlias /a /srv/app.wsgi", "WSGIScriptAlias /ab /srv/b.wsgi"]),
    Case(
      what: "short before long", lines: ["WSGIScriptAlias / /srv/b.wsgi", "WSGIScriptAlias /a /srv/app.wsgi"],
      expected: [(300, "WSGIScriptAlias /a (test.conf:2) is never reached: WSGIScriptAlias / (test.conf:1)")]),
    Case(
      what: "twice", lines: ["WSGIScriptAlias /a /srv/b.wsgi", "WSGIScriptAlias //a /srv/app.wsgi"],
      expected: [(300, "WSGIScriptAlias //a (test.conf:2) is never reached")]),
    Case(what: "virtual host over main", lines: ["WSGIScriptAlias /a /srv/b.wsgi"], virtual: ["WSGIScriptAlias / /srv/b.wsgi"]),
    Case(
      what: "missing group", lines: ["WSGIDaemonProcess shop", "WSGIScriptAlias / /srv/b.wsgi process-group=shopp"],
      expected: [
        (301, "'shopp', which no WSGIDaemonProcess defines: every request will get 500. Did you mean 'shop'?"), (305, "'shop'"),
      ]),
    Case(
      what: "missing group in a section", lines: [], section: ("/srv/", ["WSGIProcessGroup nowhere"]),
      expected: [(301, "WSGIProcessGroup nowhere (test.conf:1)")]),
    Case(
      what: "embedded and forbidden", lines: ["WSGIRestrictEmbedded On", "WSGIScriptAlias / /srv/b.wsgi"],
      expected: [(302, "which WSGIRestrictEmbedded On forbids")]),
    Case(
      what: "group of another host", lines: ["WSGIScriptAlias / /srv/b.wsgi process-group=v"], virtual: ["WSGIDaemonProcess v"],
      expected: [(303, "belongs to another virtual host")]),
    Case(
      what: "a service that gets requests",
      lines: ["WSGIDaemonProcess s threads=0", "WSGIScriptAlias / /srv/b.wsgi process-group=s"], expected: [(304, "threads=0")]),
    Case(
      what: "a group that nothing uses", lines: ["WSGIDaemonProcess a"],
      expected: [(305, "'a' (test.conf:1) is not used by any directive")]),
    Case(what: "a group by server", lines: ["WSGIDaemonProcess a", "WSGIProcessGroup a"]),
    Case(what: "a group by section", lines: ["WSGIDaemonProcess a"], section: ("*.wsgi", ["WSGIProcessGroup a"])),
    Case(
      what: "a group by import",
      lines: ["WSGIDaemonProcess a threads=0", "WSGIImportScript /srv/b.wsgi process-group=a application-group=b"]),
    Case(
      what: "a group by handler", lines: ["WSGIDaemonProcess a"],
      section: ("/srv/", ["WSGIHandlerScript h /srv/b.wsgi process-group=a"])),
    Case(what: "a group by variable", lines: ["WSGIDaemonProcess a", "WSGIProcessGroup %{ENV:x}"]),
    Case(what: "a group by dispatch", lines: ["WSGIDaemonProcess a", "WSGIDispatchScript /srv/b.wsgi"]),
    Case(
      what: "nothing to preload",
      lines: ["WSGIDaemonProcess a preload=On", "WSGIImportScript /srv/b.wsgi process-group=a application-group=b"],
      expected: [(710, "process-group=a application-group=%{GLOBAL}")]),
    Case(
      what: "something to preload",
      lines: [
        "WSGIDaemonProcess a preload=On", "WSGIImportScript /srv/b.wsgi process-group=a application-group=%{GLOBAL}",
      ]),
    Case(
      what: "a service that preloads",
      lines: [
        "WSGIDaemonProcess a preload=On threads=0",
        "WSGIImportScript /srv/b.wsgi process-group=a application-group=%{GLOBAL}",
      ], expected: [(710, "threads=0")]),
    Case(
      what: "sessions without a choice", lines: ["WSGIDaemonProcess a sticky-cookie=s", "WSGIProcessGroup a"],
      expected: [(730, "sticky-cookie=s has no effect for the process group 'a' (test.conf:1): it has one process at most.")]),
    Case(
      what: "sessions of a service", lines: ["WSGIDaemonProcess a sticky-header=s processes=2 threads=0", "WSGIProcessGroup a"],
      expected: [(730, "with threads=0")]),
    Case(what: "sessions", lines: ["WSGIDaemonProcess a sticky-cookie=s processes=0-2 sticky-wait=2", "WSGIProcessGroup a"]),
    Case(
      what: "a wait for nothing", lines: ["WSGIDaemonProcess a sticky-wait=2", "WSGIProcessGroup a"],
      expected: [(731, "sticky-wait= has no effect")]),
    Case(
      what: "unknown locale", lines: ["WSGIDaemonProcess a locale=xx_XX", "WSGIProcessGroup a"],
      expected: [(306, "locale=xx_XX, which does not exist on this system")]),
    Case(
      what: "missing script", lines: ["WSGIScriptAlias / /srv/none.wsgi"],
      expected: [(307, "WSGIScriptAlias / (test.conf:1) leads to /srv/none.wsgi, but /srv/none.wsgi does not exist.")]),
    Case(what: "a script of each request", lines: ["WSGIScriptAliasMatch ^/(.*) /srv/$1.wsgi"]),
    Case(
      what: "a script behind a closed directory",
      lines: ["WSGIDaemonProcess a user=shop", "WSGIScriptAlias / /srv/in/app.wsgi process-group=a"],
      change: {
        $0.files["/srv/in/app.wsgi"] = (false, 0o644, 0, 0); $0.files["/srv/in"] = (true, 0o750, 0, 0)
      },
      expected: [
        (
          307,
          "the user 'shop' cannot enter the directory /srv/in: its mode 0750 lacks 'x' for others; run 'chmod o+x /srv/in'."
        )
      ]),
    Case(
      what: "a script behind a directory of the user's group",
      lines: ["WSGIDaemonProcess a user=shop", "WSGIScriptAlias / /srv/in/app.wsgi process-group=a"],
      change: {
        $0.files["/srv/in/app.wsgi"] = (false, 0o640, 0, 2001); $0.files["/srv/in"] = (true, 0o710, 0, 50)
      }),
    Case(
      what: "the group option replaces groups",
      lines: ["WSGIDaemonProcess a user=shop supplementary-groups=www", "WSGIScriptAlias / /srv/app.wsgi process-group=a"],
      change: { $0.files["/srv/app.wsgi"] = (false, 0o640, 0, 50) },
      expected: [(307, "cannot read /srv/app.wsgi: its mode 0640 lacks 'r' for others; run 'chmod o+r /srv/app.wsgi'.")]),
    Case(
      what: "owner bits count for the owner",
      lines: ["WSGIDaemonProcess a user=shop", "WSGIScriptAlias / /srv/app.wsgi process-group=a"],
      change: { $0.files["/srv/app.wsgi"] = (false, 0o044, 1001, 0) },
      expected: [(307, "lacks 'r' for owner; run 'chmod u+r /srv/app.wsgi'")]),
    Case(
      what: "embedded runs as httpd's user", lines: ["WSGIScriptAlias / /srv/app.wsgi"],
      change: { $0.files["/srv/app.wsgi"] = (false, 0o640, 1001, 2001) }, expected: [(307, "the user 'www-data' cannot read")]),
    Case(
      what: "auth scripts", lines: [], section: ("/srv/", ["WSGIAuthUserScript /srv/none.py", "WSGIAccessScript /srv/app.wsgi"]),
      expected: [(307, "The auth user script (test.conf:1) leads to /srv/none.py, but /srv/none.py does not exist.")]),
    Case(
      what: "outside the chroot", lines: ["WSGIDaemonProcess a chroot=/jail", "WSGIScriptAlias / /srv/app.wsgi process-group=a"],
      expected: [(307, "outside the chroot=/jail")]),
    Case(
      what: "missing home and path entry",
      lines: ["WSGIDaemonProcess a home=/none python-path=/srv:/gone", "WSGIScriptAlias / /srv/app.wsgi process-group=a"],
      expected: [(308, "has home=/none, but /none does not exist."), (309, "/gone does not exist")]),
    Case(
      what: "home in the chroot",
      lines: ["WSGIDaemonProcess a chroot=/srv home=/in", "WSGIScriptAlias / /srv/app.wsgi process-group=a"],
      change: { $0.files["/srv/in"] = (true, 0o755, 0, 0) }),
    Case(what: "WSGIPythonPath", lines: ["WSGIPythonPath /srv:/gone"], expected: [(309, "WSGIPythonPath (test.conf:1)")]),
    Case(what: "an installation", lines: ["WSGIPythonHome /usr"]),
    Case(
      what: "no home", lines: ["WSGIPythonHome /none"],
      expected: [(310, "WSGIPythonHome (test.conf:1) is /none, but /none does not exist.")]),
    Case(what: "a relative home", lines: ["WSGIPythonHome venv"], expected: [(310, "not an absolute path")]),
    Case(what: "a file as home", lines: ["WSGIPythonHome /srv/app.wsgi"], expected: [(310, "not a directory")]),
    Case(
      what: "no environment", lines: ["WSGIDaemonProcess a python-home=/empty", "WSGIProcessGroup a"],
      expected: [(310, "not a Python environment: it has neither pyvenv.cfg")]),
    Case(
      what: "no engine", lines: ["WSGIDaemonProcess a python-home=/venv312", "WSGIProcessGroup a"],
      expected: [
        (311, "environment of Python 3.12, for which no engine is installed. Run `make PYTHON=/venv312/bin/python engine")
      ]),
    Case(what: "python", lines: ["WSGIDaemonProcess a python=/usr/bin/python3.11", "WSGIProcessGroup a"]),
    Case(
      what: "python without engine", lines: ["WSGIDaemonProcess a python=/usr/bin/python3.12", "WSGIProcessGroup a"],
      expected: [(311, "is Python 3.12, for which no engine is installed. Run `make PYTHON=/usr/bin/python3.12 engine")]),
    Case(
      what: "no such python", lines: ["WSGIDaemonProcess a python=/usr/bin/python3.99", "WSGIProcessGroup a"],
      expected: [(310, "/usr/bin/python3.99 does not exist")]),
    Case(
      what: "prefork", lines: ["WSGIScriptAlias / /srv/app.wsgi"], change: { $0.mpm = "prefork" },
      expected: [(312, "up to 256 processes will each load the application")]),
    Case(
      what: "prefork with daemons", lines: ["WSGIDaemonProcess a", "WSGIScriptAlias / /srv/app.wsgi process-group=a"],
      change: { $0.mpm = "prefork" }),
    Case(what: "slow requests", lines: ["WSGISlowRequests 1"]),
    Case(what: "slow requests and telemetry", lines: ["WSGISlowRequests 1", "WSGITelemetryService unix:/run/t"]),
    Case(
      what: "a line twice",
      lines: ["WSGIDaemonProcess a"] + Array(repeating: "WSGIScriptAlias /a /srv/b.wsgi process-group=a", count: 2)),
    Case(
      what: "a missing group that every alias overrules",
      lines: ["WSGIDaemonProcess a", "WSGIProcessGroup gone", "WSGIScriptAlias /a /srv/b.wsgi process-group=a"],
      section: ("/a", ["WSGIProcessGroup gone"])),
    Case(
      what: "a missing group that an alias uses",
      lines: [
        "WSGIDaemonProcess a", "WSGIProcessGroup gone", "WSGIScriptAlias /a /srv/b.wsgi process-group=a",
        "WSGIScriptAlias /b /srv/b.wsgi",
      ],
      expected: [(301, "WSGIScriptAlias /b"), (301, "WSGIProcessGroup gone")]),
    Case(
      what: "a missing group that a dispatch script may replace",
      lines: ["WSGIScriptAlias / /srv/b.wsgi process-group=gone", "WSGIDispatchScript /srv/b.wsgi"]),
    Case(
      what: "a directory of scripts that need not be listed", lines: ["WSGIScriptAlias / /srv/in/"],
      change: {
        $0.files["/srv/in/"] = (true, 0o711, 0, 0); $0.files["/srv/in"] = (true, 0o711, 0, 0)
      }),
  ]

  @Test(arguments: cases.indices)
  func finds(_ index: Int) {
    let test = DiagnosticTests.cases[index]
    var config = TestConfig()
    for line in test.lines { #expect(config.read(line) == nil, "\(line)") }
    let main = config.serverConfig.value
    config.server = ServerIdentity(id: 9, name: "v")
    config.serverConfig = Box(ServerConfig())
    for line in test.virtual { #expect(config.read(line) == nil, "\(line)") }
    config.server = .main
    if let (path, lines) = test.section {
      config.path = path
      for line in lines { #expect(config.read(line) == nil, "\(line)") }
    }
    var system = System()
    test.change(&system)
    let virtual = ServerConfig.merge(main, config.serverConfig.value)
    let configuration = Configuration(
      global: config.global.value,
      servers: [
        ConfiguredServer(identity: .main, config: main),
        ConfiguredServer(identity: ServerIdentity(id: 9, name: "v"), config: virtual, addresses: ["*:80"]),
      ])
    var diagnostics = Diagnostics(configuration, system.facts)
    let found = diagnostics.run()
    #expect(found.map(\.number) == test.expected.map(\.0), "\(found.map(\.description))")
    for (diagnostic, expected) in zip(found, test.expected) {
      #expect(diagnostic.message.contains(expected.1), "\(diagnostic)")
      #expect(diagnostic.description.hasPrefix("WSGI0\(expected.0): "))
    }
  }

  @Test func theFirstOfSeveralHostsCatchesTheRest() {
    var config = TestConfig()
    config.server = ServerIdentity(id: 1, name: "shop.example")
    config.read("WSGIScriptAlias / /srv/app.wsgi")
    let shop = config.serverConfig.value
    func found(_ servers: [ConfiguredServer]) -> [Int] {
      var diagnostics = Diagnostics(Configuration(global: config.global.value, servers: servers), System().facts)
      return diagnostics.run().map(\.number)
    }
    let first = ConfiguredServer(identity: config.server, config: shop, addresses: ["*:80", "*:443"])
    let catching = ConfiguredServer(identity: config.server, config: shop, addresses: ["*:80"], aliases: ["*"])
    let other = ConfiguredServer(identity: ServerIdentity(id: 2, name: "b"), config: ServerConfig(), addresses: ["*:80"])
    #expect(found([first, other]) == [313])
    #expect(found([other, first]) == [])
    #expect(found([first]) == [])
    // `*` is an address of each protocol.
    #expect(
      found([ConfiguredServer(identity: config.server, config: shop, addresses: ["*:443", "*:443"])]) == [])
    #expect(found([catching, other]) == [])
  }
}
