import Testing
import WSGICore

@testable import WSGIConfig

@Suite struct DaemonProcessTests {
  @Test func theTableHoldsTheReferencesOptionsAndOurs() {
    #expect(DaemonProcessOption.table.filter { !$0.isAddition }.count == 44)
    #expect(
      Set(DaemonProcessOption.table.filter(\.isAddition).map(\.name)) == [
        "python", "reload", "queue-limit", "request-spool", "response-spool", "spool-limit", "new-privileges", "environment",
        "pass-environment", "idle-timeout", "memory-recycle", "process-limit", "cgroup", "cgroup-set", "preload", "sticky-cookie",
        "sticky-header", "sticky-wait",
      ])
    #expect(Set(DaemonProcessOption.table.map(\.name)).count == 62)
  }

  func group(_ options: String, isRoot: Bool = true) throws -> GroupConfig {
    var config = TestConfig()
    config.environment = testEnvironment(isRoot: isRoot)
    if let message = config.read("WSGIDaemonProcess a \(options)") { throw ConfigError(message) }
    return try #require(config.global.value.groups.first)
  }

  /// Without a queue-limit an eighth of httpd's threads, one at least, is left to others.
  @Test(arguments: [
    ("", 400, 350), ("", 8, 7), ("", 7, 6), ("", 1, 1), ("", 0, 1), ("queue-limit=10", 400, 10), ("queue-limit=900", 400, 900),
  ])
  func requestsInFlightAreLimited(options: String, httpdThreads: Int, limit: Int) throws {
    #expect(try group(options).inFlightLimit(httpdThreads: httpdThreads) == limit)
  }

  @Test func eachProcessMayHandARequestBackTwice() throws { #expect(try group("processes=3").attempts == 7) }

  @Test func defaults() throws {
    let group = try group("")
    #expect(group.name == "a")
    #expect(group.settings.processes == 1 && !group.settings.isMultiprocess && group.settings.threads == 15)
    #expect(
      group.settings.shutdownTimeout == 5_000 && group.settings.deadlockTimeout == 300_000
        && group.settings.gracefulTimeout == 15_000)
    #expect(group.settings.connectTimeout == 15_000 && group.responseFlushDelay == 5 && group.listenBacklog == 100)
    #expect(group.headerBufferSize == nil && group.responseBufferSize == 8_388_608)
    #expect(group.reload == .restart && group.queueLimit == nil && group.settings.python == nil)
    #expect(group.user == nil && group.group == nil && group.supplementaryGroups == nil && group.settings.umask == nil)
  }

  /// An option, and what of the group it sets.
  static let accepted: [(String, @Sendable (GroupConfig) -> Bool)] = [
    ("user=shop", { $0.user?.uid == 1001 && $0.group == nil }), ("user=#1001", { $0.user?.name == "shop" && $0.group == nil }),
    ("group=staff", { $0.group == 50 }), ("group=#4711", { $0.group == 4711 }),
    ("supplementary-groups=www,#7,,staff", { $0.supplementaryGroups == [33, 7, 50] }),
    ("supplementary-groups=", { $0.supplementaryGroups == [] }),
    ("processes=1", { $0.settings.processes == 1 && $0.settings.isMultiprocess }),
    ("processes=4", { $0.settings.processes == 4 }), ("threads=0", { $0.settings.threads == 0 }),
    ("threads=65533", { $0.settings.threads == 65_533 }),
    ("threads= 5", { $0.settings.threads == 5 }), ("umask=0027", { $0.settings.umask == 0o27 }),
    ("chroot=/jail", { $0.settings.changeRoot?.text == "/jail" }),
    ("home='/srv/my shop'", { $0.settings.home?.text == "/srv/my shop" }), ("lang=de_DE.UTF-8", { $0.lang == "de_DE.UTF-8" }),
    ("lang= threads=3", { $0.lang == nil && $0.settings.threads == 3 }),
    ("locale=C.UTF-8", { $0.settings.locale?.text == "C.UTF-8" }),
    ("python-home=/venv", { $0.settings.pythonHome?.text == "/venv" }),
    ("python=/usr/bin/python3.12", { $0.settings.python?.text == "/usr/bin/python3.12" }),
    ("python-path=/a:/b", { $0.settings.interpreter.pythonPath?.text == "/a:/b" }),
    ("python-eggs=/e", { $0.settings.pythonEggs?.text == "/e" }),
    ("switch-interval=0.01", { $0.settings.interpreter.switchInterval == 0.01 }),
    ("stack-size=512K", { $0.settings.stackSize == 524_288 }),
    ("stack-size=1", { $0.settings.stackSize == 1 }), ("maximum-requests=1000", { $0.settings.maximumRequests == 1000 }),
    ("startup-timeout=15", { $0.settings.startupTimeout == 15_000 }),
    ("shutdown-timeout=0", { $0.settings.shutdownTimeout == 0 }),
    ("deadlock-timeout=1min", { $0.settings.deadlockTimeout == 60_000 }),
    ("processes=0-4", { $0.minimumProcesses == 0 && $0.settings.processes == 4 }),
    ("processes=3", { $0.minimumProcesses == 3 && $0.settings.processes == 3 }),
    ("idle-timeout=10", { $0.idleTimeout == 10_000 }),
    ("preload=On", { $0.preloads }),
    ("preload=off", { !$0.preloads }),
    ("sticky-cookie=a_b!", { $0.stickySessions?.mark == .cookie("a_b!") && $0.stickyWait == 1_000 }),
    ("sticky-header=X-Route", { $0.stickySessions?.mark == .header("X-Route") }),
    ("processes=126 sticky-cookie=a sticky-wait=50ms", { $0.stickyWait == 50 }),
    ("inactivity-timeout=1h", { $0.settings.inactivityTimeout == 3_600_000 }),
    ("request-timeout=250ms", { $0.settings.requestTimeout == 250 }),
    ("interrupt-timeout=5", { $0.settings.interruptTimeout == 5_000 }),
    ("graceful-timeout=5s", { $0.settings.gracefulTimeout == 5_000 }),
    ("eviction-timeout=5", { $0.settings.evictionTimeout == 5_000 }),
    ("restart-interval=1h", { $0.settings.restartInterval == 3_600_000 }),
    ("connect-timeout=0", { $0.settings.connectTimeout == 0 }),
    ("socket-timeout=9", { $0.settings.socketTimeout == 9_000 }), ("queue-timeout=9", { $0.settings.queueTimeout == 9_000 }),
    ("listen-backlog=5", { $0.listenBacklog == 5 }), ("display-name=%{GROUP}", { $0.displayName == "%{GROUP}" }),
    ("display-name=", { $0.displayName == nil }), ("send-buffer-size=512", { $0.sendBufferSize == 512 }),
    ("receive-buffer-size=0", { $0.receiveBufferSize == 0 }), ("header-buffer-size=0", { $0.headerBufferSize == nil }),
    ("header-buffer-size=8K", { $0.headerBufferSize == 8192 }), ("response-buffer-size=64K", { $0.responseBufferSize == 65_536 }),
    ("response-socket-timeout=3", { $0.responseSocketTimeout == 3_000 }),
    ("response-flush-delay=7", { $0.responseFlushDelay == 7 }),
    ("response-flush-delay=1s", { $0.responseFlushDelay == 1_000 }), ("socket-user=root", { _ in true }),
    ("script-user=shop", { $0.settings.scriptOwner == .user(1001) }),
    ("script-user=root", { $0.settings.scriptOwner == .user(0) }),
    ("script-group=staff", { $0.settings.scriptOwner == .group(50) }), ("cpu-time-limit=30", { $0.settings.cpuTimeLimit == 30 }),
    ("cpu-time-limit=1500ms", { $0.settings.cpuTimeLimit == 2 }), ("cpu-priority=-30", { $0.settings.cpuPriority == -30 }),
    ("memory-limit=1G", { $0.settings.memoryLimit == 1 << 30 }),
    ("virtual-memory-limit=0", { $0.settings.virtualMemoryLimit == 0 }),
    ("cgroup=/sys/fs/cgroup/wsgi", { $0.settings.controlGroup?.text == "/sys/fs/cgroup/wsgi" }),
    (
      "cgroup=/sys/fs/cgroup/wsgi cgroup-set=memory.max:1G cgroup-set='cpu.max:5 10' cgroup-set=io.max:8:0",
      {
        $0.controlGroupValues.map(\.file) == ["memory.max", "cpu.max", "io.max"]
          && $0.controlGroupValues.map(\.value) == ["1G", "5 10", "8:0"]
      }
    ), ("memory-recycle=300M", { $0.settings.memoryRecycle == 300 << 20 }),
    ("process-limit=60", { $0.settings.processLimit == 60 }),
    ("server-metrics=on", { $0.settings.serverMetrics }), ("new-privileges=On", { $0.settings.allowsNewPrivileges }),
    ("environment=clean", { $0.hasCleanEnvironment }), ("environment=clean environment=all", { !$0.hasCleanEnvironment }),
    ("pass-environment=DSN,,A_b", { $0.passedVariables == ["DSN", "A_b"] }),
    ("pass-environment=", { $0.passedVariables.isEmpty }),
    ("queue-limit=10", { $0.queueLimit == 10 }),
    ("", { $0.requestSpool == 65_536 }),
    ("", { $0.responseSpool == 1_048_576 }),
    ("response-spool=0", { $0.responseSpool == 0 }),
    ("", { $0.spoolLimit == 268_435_456 }), ("spool-limit=2G", { $0.spoolLimit == 2 << 30 }),
    ("request-spool=0", { $0.requestSpool == 0 }),
    ("request-spool=2M", { $0.requestSpool == 2_097_152 }),
    ("reload=rolling", { $0.reload == .rolling }), ("reload=restart", { $0.reload == .restart }),
    ("threads=1 threads=2", { $0.settings.threads == 2 }),
  ]

  @Test(arguments: accepted.indices)
  func sets(_ index: Int) throws {
    let (options, check) = DaemonProcessTests.accepted[index]
    let group = try group(options)
    #expect(check(group), "\(options)")
  }

  static let refused: [(String, String)] = [
    ("foo", "Invalid option to WSGI daemon process definition. 'foo'"),
    ("foo=1", "Invalid option to WSGI daemon process definition. There is no option 'foo'."),
    ("thread=5", "Invalid option to WSGI daemon process definition. There is no option 'thread'; did you mean 'threads'?"),
    ("THREADS=5", "Invalid option to WSGI daemon process definition. There is no option 'THREADS'"),
    (
      "python_path=/x",
      "Invalid option to WSGI daemon process definition. There is no option 'python_path'; did you mean 'python-path'?"
    ),
    ("'threads=5'", "Invalid option to WSGI daemon process definition."),
    ("=5", "Invalid option to WSGI daemon process definition."),
    ("threads =5", "Invalid option to WSGI daemon process definition."),
    ("home=\"/x\"y", "Invalid option to WSGI daemon process definition."),
    ("user=", "Invalid user for WSGI daemon process. user=''"),
    ("user=root", "WSGI process blocked from running as root. user=root"),
    ("user=#0", "WSGI process blocked from running as root. user=#0"),
    ("user=nosuch", "Invalid user for WSGI daemon process. user=nosuch: bad user name nosuch"),
    ("user=#4711", "Couldn't determine user name from uid. user=#4711"),
    ("user=#x", "Invalid user for WSGI daemon process. user=#x"),
    ("user=#4294967295", "Invalid user for WSGI daemon process."), ("user=#-1", "Invalid user for WSGI daemon process."),
    ("group=", "Invalid group for WSGI daemon process."),
    ("group=nosuch", "Invalid group for WSGI daemon process. group=nosuch: bad group name nosuch"),
    ("supplementary-groups=nosuch", "Invalid supplementary groups for WSGI daemon process."),
    ("supplementary-groups=#1,#2,#3,#4", "Too many supplementary groups WSGI daemon process."),
    ("processes=0", "Invalid process count for WSGI daemon process. processes=0: "),
    ("processes=2two", "Invalid process count for WSGI daemon process. processes=2two: "),
    ("threads=x", "Invalid thread count for WSGI daemon process. threads=x: it must be a whole number from 0 to 65533."),
    ("threads=-1", "Invalid thread count for WSGI daemon process."),
    ("threads=65534", "Invalid thread count for WSGI daemon process."),
    ("threads=", "Invalid thread count for WSGI daemon process. threads='': "),
    ("umask=9", "Invalid umask for WSGI daemon process."),
    ("umask=77777777777777777777777", "Invalid umask for WSGI daemon process."),
    ("chroot=foo", "Invalid chroot directory for WSGI daemon process."),
    ("home=foo", "Invalid home directory for WSGI daemon process."),
    ("home=", "Invalid home directory for WSGI daemon process."), ("python=python3", "Invalid Python for WSGI daemon process."),
    ("switch-interval=0", "Invalid switch interval for WSGI daemon process."),
    ("switch-interval=x", "Invalid switch interval for WSGI daemon process."),
    ("stack-size=0", "Invalid stack size for WSGI daemon process."),
    ("maximum-requests=-1", "Invalid request count for WSGI daemon process."),
    ("startup-timeout=-1", "Invalid startup timeout for WSGI daemon process."),
    ("shutdown-timeout=x", "Invalid shutdown timeout for WSGI daemon process."),
    ("deadlock-timeout=1d", "Invalid deadlock timeout for WSGI daemon process."),
    ("processes=0-0", "Invalid process count for WSGI daemon process."),
    ("processes=4-1", "Invalid process count for WSGI daemon process."),
    ("processes=1-", "Invalid process count for WSGI daemon process."),
    ("processes=1-2-3", "Invalid process count for WSGI daemon process."),
    ("processes=0-2 threads=0", "Invalid process count for WSGI daemon process. A group with threads=0"),
    ("processes=-1-2", "Invalid process count for WSGI daemon process."),
    ("idle-timeout=x", "Invalid idle timeout for WSGI daemon process."),
    ("preload=yes", "Invalid preload flag for WSGI daemon process. preload=yes: it must be On or Off."),
    ("sticky-cookie=", "Invalid cookie name for WSGI daemon process. sticky-cookie='': it must be a name"),
    ("sticky-cookie=a=b", "Invalid cookie name for WSGI daemon process."),
    ("sticky-cookie=a;b", "Invalid cookie name for WSGI daemon process."),
    ("sticky-cookie=ä", "Invalid cookie name for WSGI daemon process."),
    ("sticky-cookie=__Host-a", "Invalid cookie name for WSGI daemon process. sticky-cookie=__Host-a: the prefix __Host-"),
    ("sticky-header=a:b", "Invalid header name for WSGI daemon process."),
    ("sticky-header=", "Invalid header name for WSGI daemon process."),
    ("sticky-cookie=a sticky-header=b", "Only one of sticky-cookie and sticky-header allowed."),
    ("sticky-wait=0", "Invalid sticky wait for WSGI daemon process."),
    ("sticky-wait=x", "Invalid sticky wait for WSGI daemon process."),
    (
      "sticky-cookie=a processes=127",
      "Invalid process count for WSGI daemon process. processes=127 with sticky-cookie=a: sessions"
    ),
    ("inactivity-timeout=1.5", "Invalid inactivity timeout for WSGI daemon process."),
    ("request-timeout=", "Invalid request timeout for WSGI daemon process."),
    ("interrupt-timeout=-1", "Invalid interrupt timeout for WSGI daemon process."),
    ("graceful-timeout=-1", "Invalid graceful timeout for WSGI daemon process."),
    ("eviction-timeout=-1", "Invalid eviction timeout for WSGI daemon process."),
    ("restart-interval=-1", "Invalid restart interval for WSGI daemon process."),
    ("connect-timeout=-1", "Invalid connect timeout for WSGI daemon process."),
    ("socket-timeout=-1", "Invalid socket timeout for WSGI daemon process."),
    ("queue-timeout=-1", "Invalid queue timeout for WSGI daemon process."),
    ("listen-backlog=-1", "Invalid listen backlog for WSGI daemon process."),
    ("send-buffer-size=511", "Send buffer size must be >= 512 bytes, or 0 for system default. send-buffer-size=511"),
    ("send-buffer-size=", "Invalid send buffer size for WSGI daemon process. send-buffer-size='': it must be a number"),
    ("receive-buffer-size=-1", "Receive buffer size must be >= 512 bytes, or 0 for system default."),
    ("header-buffer-size=8191", "Header buffer size must be >= 8192 bytes, or 0 for default."),
    ("response-buffer-size=x", "Response buffer size must be >= 65536 bytes, or 0 for default."),
    ("response-socket-timeout=-1", "Invalid response socket timeout for WSGI daemon process."),
    (
      "response-flush-delay=-1",
      "Invalid response flush delay for WSGI daemon process. response-flush-delay=-1: it must be a whole number of milliseconds"
    ),
    ("socket-user=", "Invalid socket user for WSGI daemon process."),
    ("socket-user=#4711", "Couldn't determine user name from socket user."),
    ("script-user=#4711", "Couldn't determine uid from script user."),
    ("script-user=nosuch", "Invalid script user for WSGI daemon process."),
    ("script-group=", "Invalid script group for WSGI daemon process."),
    ("script-group=#4711", "Couldn't determine gid from script group."),
    ("script-user=shop script-group=www", "Only one of script-user and script-group allowed."),
    ("script-group=www script-user=shop", "Only one of script-user and script-group allowed."),
    ("cpu-time-limit=-1", "Invalid CPU time limit for WSGI daemon process."),
    ("cpu-priority=", "Invalid CPU priority for WSGI daemon process."),
    ("memory-limit=-1", "Invalid memory limit for WSGI daemon process."),
    ("virtual-memory-limit=x", "Invalid virtual memory limit for WSGI daemon process."),
    ("memory-recycle=much", "Invalid memory recycling size for WSGI daemon process."),
    ("cgroup=sys/fs/cgroup", "Invalid control group for WSGI daemon process."),
    ("cgroup=/sys/../x", "Invalid control group for WSGI daemon process."),
    ("cgroup=/sys/x/", "Invalid control group for WSGI daemon process."),
    ("cgroup=/x", "Invalid control group for WSGI daemon process."),
    ("cgroup=/sys/x cgroup-set=memory.max", "Invalid control group setting for WSGI daemon process."),
    ("cgroup=/sys/x cgroup-set=a/b:1", "Invalid control group setting for WSGI daemon process."),
    ("cgroup=/sys/x cgroup-set=..:1", "Invalid control group setting for WSGI daemon process."),
    ("cgroup-set=memory.max:1", "No control group for WSGI daemon process."),
    ("process-limit=-1", "Invalid process limit for WSGI daemon process."),
    ("server-metrics=yes", "Invalid server metrics flag for WSGI daemon process."),
    ("new-privileges=1", "Invalid new privileges flag for WSGI daemon process."),
    ("environment=none", "Invalid environment for WSGI daemon process."),
    ("pass-environment=A=b", "Invalid variable name for WSGI daemon process."),
    ("request-spool=x", "Invalid request spool for WSGI daemon process. request-spool=x: it must be a number of bytes"),
    ("response-spool=1T", "Invalid response spool for WSGI daemon process."),
    ("spool-limit=-1", "Invalid spool limit for WSGI daemon process."),
    ("request-spool=-1", "Invalid request spool for WSGI daemon process."),
    ("queue-limit=0", "Invalid queue limit for WSGI daemon process."),
    ("reload=maybe", "Invalid reload policy for WSGI daemon process."),
    ("memory-limit=99999999999G", "Invalid memory limit for WSGI daemon process."),
  ]

  @Test(arguments: refused)
  func refuses(_ options: String, _ beginning: String) {
    var config = TestConfig()
    let message = config.read("WSGIDaemonProcess a \(options)")
    #expect(message?.hasPrefix(beginning) == true, "\(message ?? "accepted")")
    #expect(config.global.value.groups.isEmpty)
  }

  @Test func namesAreGivenOnce() {
    var config = TestConfig()
    #expect(config.read("WSGIDaemonProcess")?.hasPrefix("Name of WSGI daemon process not supplied.") == true)
    #expect(config.read("WSGIDaemonProcess \"\"")?.hasPrefix("Name of WSGI daemon process not supplied.") == true)
    #expect(config.read("WSGIDaemonProcess 'my group' threads=2") == nil)
    #expect(config.read("WSGIDaemonProcess \"my group\"")?.hasPrefix("Name duplicates previous WSGI daemon definition.") == true)
    #expect(config.read("WSGIDaemonProcess 'My group'") == nil)
  }

  @Test func onlyRootCanChroot() {
    #expect(throws: ConfigError.self) { try group("chroot=/jail", isRoot: false) }
  }
}
