extension DaemonProcessOption {
  /// All options, in the order of the documentation.
  public static let table: [DaemonProcessOption] = identity + python + capacity + times + limits

  private static let identity: [DaemonProcessOption] = [
    DaemonProcessOption("user", default: "User") { (group, text, system) throws(ConfigError) in
      group.user = try user(text, "user", "user", unknown: "user name from uid", system)
      guard group.user?.uid != 0 else {
        throw ConfigError("WSGI process blocked from running as root. user=\(text): name another user.")
      }
    },
    DaemonProcessOption("group", default: "Group") { (group, text, system) throws(ConfigError) in
      group.group = try gid(text, "group", "group", system)
    },
    DaemonProcessOption("supplementary-groups", default: "of the user") { (group, text, system) throws(ConfigError) in
      var gids: [UInt32] = []
      for name in text.split(Ascii.comma) where !name.isEmpty {
        gids.append(try gid(name, "supplementary groups", "supplementary-groups", system))
      }
      // The primary group takes one place.
      guard gids.count < system.supplementaryGroupLimit else {
        throw ConfigError(
          "Too many supplementary groups WSGI daemon process. supplementary-groups= lists \(gids.count), "
            + "beside the primary group the system allows \(system.supplementaryGroupLimit - 1).")
      }
      group.supplementaryGroups = gids
    },
    DaemonProcessOption("umask", default: "inherited") { (group, text, _) throws(ConfigError) in
      guard let mask = NumberSyntax.octal(text), mask <= 0o7777 else {
        throw invalidDaemon("umask", "umask", text, "it must be an octal number up to 07777, such as 0027")
      }
      group.umask = UInt32(truncatingIfNeeded: mask)
    },
    DaemonProcessOption("chroot", default: "–") { (group, text, system) throws(ConfigError) in
      guard system.isRoot else {
        throw ConfigError("Cannot chroot WSGI daemon process when not root. chroot=\(text): start httpd as root, or remove it.")
      }
      guard text.bytes.first == Ascii.slash else {
        throw invalidDaemon("chroot directory", "chroot", text, "it must be an absolute path")
      }
      group.chroot = text
    },
    .path("home", "home directory", default: "of the user") { $0.home = $1 },
    DaemonProcessOption("environment", default: "all", isAddition: true) { (group, text, _) throws(ConfigError) in
      switch text {
      case "all": group.hasCleanEnvironment = false
      case "clean": group.hasCleanEnvironment = true
      default: throw invalidDaemon("environment", "environment", text, "it must be all or clean")
      }
    },
    DaemonProcessOption("pass-environment", default: "–", isAddition: true) { (group, text, _) throws(ConfigError) in
      let names = text.split(Ascii.comma).filter { !$0.isEmpty }
      guard !names.contains(where: { $0.bytes.contains(Ascii.equals) }) else {
        throw invalidDaemon(
          "variable name", "pass-environment", text, "it must be names of variables, separated by commas, without values")
      }
      group.passedVariables = names
    },
    .text("lang") { $0.lang = $1 },
    .text("locale") { $0.locale = $1 },
    .text("display-name") { $0.displayName = $1 },
    DaemonProcessOption("socket-user", default: "User") { (_, text, system) throws(ConfigError) in
      _ = try user(text, "socket user", "socket-user", unknown: "user name from socket user", system)
    },
    DaemonProcessOption("script-user", default: "–") { (group, text, system) throws(ConfigError) in
      group.scriptUser = try user(text, "script user", "script-user", unknown: "uid from script user", system).uid
      try requireOneOwner(group)
    },
    DaemonProcessOption("script-group", default: "–") { (group, text, system) throws(ConfigError) in
      let gid = try gid(text, "script group", "script-group", system)
      guard system.hasGroupWithID(gid) else {
        throw ConfigError("Couldn't determine gid from script group. script-group=\(text): the system has no such group.")
      }
      group.scriptGroup = gid
      try requireOneOwner(group)
    },
  ]

  private static let python: [DaemonProcessOption] = [
    .text("python-home", default: "WSGIPythonHome") { $0.pythonHome = $1 },
    .path("python", "Python", default: "of python-home", isAddition: true) { $0.python = $1 },
    .text("python-path") { $0.pythonPath = $1 },
    .text("python-eggs") { $0.pythonEggs = $1 },
    DaemonProcessOption("switch-interval", default: "Python's") { (group, text, _) throws(ConfigError) in
      guard let seconds = NumberSyntax.seconds(text), seconds > 0 else {
        throw invalidDaemon("switch interval", "switch-interval", text, "it must be a number of seconds above 0")
      }
      group.switchInterval = seconds
    },
    DaemonProcessOption("server-metrics", default: "Off") { (group, text, _) throws(ConfigError) in
      guard let isOn = onOff(text) else {
        throw invalidDaemon("server metrics flag", "server-metrics", text, "it must be On or Off")
      }
      group.serverMetrics = isOn
    },
    DaemonProcessOption("new-privileges", default: "Off", isAddition: true) { (group, text, _) throws(ConfigError) in
      guard let isOn = onOff(text) else {
        throw invalidDaemon("new privileges flag", "new-privileges", text, "it must be On or Off")
      }
      group.allowsNewPrivileges = isOn
    },
    DaemonProcessOption("reload", default: "restart", isAddition: true) { (group, text, _) throws(ConfigError) in
      switch text {
      case "restart": group.reload = .restart
      case "rolling": group.reload = .rolling
      default: throw invalidDaemon("reload policy", "reload", text, "it must be restart or rolling")
      }
    },
  ]

  private static let capacity: [DaemonProcessOption] = [
    .number("processes", "process count", default: "1", 1...Int(Int32.max)) {
      $0.processes = $1
      $0.isMultiprocess = true
    },
    .number("threads", "thread count", default: "15", 0...65_533) { $0.threads = $1 },
    .size("stack-size", "stack size", default: "of the system", minimum: 1) { $0.stackSize = $1 },
    .number("queue-limit", "queue limit", default: "7/8 of MaxRequestWorkers", 1...Int(Int32.max), isAddition: true) {
      $0.queueLimit = $1
    },
    .number("listen-backlog", "listen backlog", default: "100", 0...Int(Int32.max)) { $0.listenBacklog = $1 },
    .number("maximum-requests", "request count", default: "0", 0...Int.max) { $0.maximumRequests = $1 },
  ]

  private static let times: [DaemonProcessOption] = [
    .time("startup-timeout", "startup timeout", default: "0") { $0.startupTimeout = $1 },
    .time("shutdown-timeout", "shutdown timeout", default: "5") { $0.shutdownTimeout = $1 },
    .time("deadlock-timeout", "deadlock timeout", default: "300") { $0.deadlockTimeout = $1 },
    .time("inactivity-timeout", "inactivity timeout", default: "0") { $0.inactivityTimeout = $1 },
    .time("request-timeout", "request timeout", default: "0") { $0.requestTimeout = $1 },
    .time("interrupt-timeout", "interrupt timeout", default: "0") { $0.interruptTimeout = $1 },
    .time("graceful-timeout", "graceful timeout", default: "15") { $0.gracefulTimeout = $1 },
    .time("eviction-timeout", "eviction timeout", default: "0") { $0.evictionTimeout = $1 },
    .time("restart-interval", "restart interval", default: "0") { $0.restartInterval = $1 },
    .time("connect-timeout", "connect timeout", default: "15") { $0.connectTimeout = $1 },
    .time("socket-timeout", "socket timeout", default: "Timeout") { $0.socketTimeout = $1 },
    .time("queue-timeout", "queue timeout", default: "0") { $0.queueTimeout = $1 },
    .time("response-socket-timeout", "response socket timeout", default: "socket-timeout") { $0.responseSocketTimeout = $1 },
    .time("response-flush-delay", "response flush delay", default: "5ms", plainUnit: 1) { $0.responseFlushDelay = $1 },
  ]

  private static let limits: [DaemonProcessOption] = [
    .buffer("send-buffer-size", "send buffer size", default: "0", minimum: 512, of: "system default") {
      $0.sendBufferSize = $1 ?? 0
    },
    .buffer("receive-buffer-size", "receive buffer size", default: "0", minimum: 512, of: "system default") {
      $0.receiveBufferSize = $1 ?? 0
    },
    .buffer("header-buffer-size", "header buffer size", default: "32K a header", minimum: 8_192) {
      $0.headerBufferSize = $1
    },
    .buffer("response-buffer-size", "response buffer size", default: "8M", minimum: 65_536) {
      $0.responseBufferSize = $1 ?? 8_388_608
    },
    // The kernel counts whole seconds; part of one is a second.
    .time("cpu-time-limit", "CPU time limit", default: "0") { $0.cpuTimeLimit = $1 / 1_000 + ($1 % 1_000 == 0 ? 0 : 1) },
    .number("cpu-priority", "CPU priority", default: "0", Int(Int32.min)...Int(Int32.max)) { $0.cpuPriority = $1 },
    .size("memory-limit", "memory limit", default: "0", minimum: 0) { $0.memoryLimit = $1 },
    .size("virtual-memory-limit", "virtual memory limit", default: "0", minimum: 0) { $0.virtualMemoryLimit = $1 },
  ]

  // MARK: - users and groups

  /// - unknown: what cannot be determined of a number that has no entry.
  private static func user(
    _ text: ByteText, _ thing: String, _ option: String, unknown: String, _ system: ParseEnvironment
  ) throws(ConfigError) -> UserRecord {
    if text.bytes.first == Ascii.hash {
      guard let uid = identifier(text) else { throw invalidDaemon(thing, option, text, "behind '#' stands a number") }
      if let record = system.userWithID(uid) { return record }
      throw ConfigError("Couldn't determine \(unknown). \(option)=\(text): the password database has no such number.")
    }
    guard !text.isEmpty else { throw invalidDaemon(thing, option, text, "write a name, or '#' and a number") }
    guard let record = system.userNamed(text) else {
      throw invalidDaemon(thing, option, text, "bad user name \(text): the system has no such user")
    }
    return record
  }

  private static func gid(
    _ text: ByteText, _ thing: String, _ option: String, _ system: ParseEnvironment
  ) throws(ConfigError) -> UInt32 {
    if text.bytes.first == Ascii.hash {
      guard let gid = identifier(text) else { throw invalidDaemon(thing, option, text, "behind '#' stands a number") }
      return gid
    }
    guard !text.isEmpty else { throw invalidDaemon(thing, option, text, "write a name, or '#' and a number") }
    guard let gid = system.groupNamed(text) else {
      throw invalidDaemon(thing, option, text, "bad group name \(text): the system has no such group")
    }
    return gid
  }

  /// The number in `#1000`. The highest is what the system calls "no user".
  private static func identifier(_ text: ByteText) -> UInt32? {
    guard let number = NumberSyntax.integer(ByteText(text.bytes.dropFirst())), number < Int(UInt32.max) else { return nil }
    return UInt32(exactly: number)
  }

  private static func requireOneOwner(_ group: DaemonGroup) throws(ConfigError) {
    guard group.scriptUser == nil || group.scriptGroup == nil else {
      throw ConfigError("Only one of script-user and script-group allowed. Remove one of them from '\(group.name)'.")
    }
  }
}
