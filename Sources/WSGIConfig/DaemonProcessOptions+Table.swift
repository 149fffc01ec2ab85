import WSGICore

extension DaemonProcessOption {
  /// All options.
  public static let table: [DaemonProcessOption] =
    identity + policies + requests + sessions + WorkerSettings.rows.compactMap { DaemonProcessOption($0) }

  /// Users, groups and what depends on them.
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
      group.settings.umask = UInt32(truncatingIfNeeded: mask)
    },
    DaemonProcessOption("chroot", default: "–") { (group, text, system) throws(ConfigError) in
      guard system.isRoot else {
        throw ConfigError("Cannot chroot WSGI daemon process when not root. chroot=\(text): start httpd as root, or remove it.")
      }
      guard text.bytes.first == Ascii.slash else {
        throw invalidDaemon("chroot directory", "chroot", text, "it must be an absolute path")
      }
      group.settings.changeRoot = text.bytes
    },
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
    DaemonProcessOption("socket-user", default: "User") { (_, text, system) throws(ConfigError) in
      _ = try user(text, "socket user", "socket-user", unknown: "user name from socket user", system)
    },
    DaemonProcessOption("script-user", default: "–") { (group, text, system) throws(ConfigError) in
      let owner = try user(text, "script user", "script-user", unknown: "uid from script user", system)
      if case .group = group.settings.scriptOwner { throw twoOwners(group) }
      group.settings.scriptOwner = .user(owner.uid)
    },
    DaemonProcessOption("script-group", default: "–") { (group, text, system) throws(ConfigError) in
      let gid = try gid(text, "script group", "script-group", system)
      guard system.hasGroupWithID(gid) else {
        throw ConfigError("Couldn't determine gid from script group. script-group=\(text): the system has no such group.")
      }
      if case .user = group.settings.scriptOwner { throw twoOwners(group) }
      group.settings.scriptOwner = .group(gid)
    },
  ]

  /// Options that take words or count in their own way.
  private static let policies: [DaemonProcessOption] = [
    DaemonProcessOption("reload", default: "restart", isAddition: true) { (group, text, _) throws(ConfigError) in
      switch text {
      case "restart": group.reload = .restart
      case "rolling": group.reload = .rolling
      case "interpreter": group.reload = .interpreter
      default: throw invalidDaemon("reload policy", "reload", text, "it must be restart, rolling or interpreter")
      }
    },
    DaemonProcessOption("processes", default: "1") { (group, text, _) throws(ConfigError) in
      guard let range = processes(text) else {
        throw invalidDaemon(
          "process count", "processes", text,
          "it must be a whole number of at least 1, or two as in 0-4: the fewest and the most that are to run")
      }
      group.minimumProcesses = range.lowerBound
      group.settings.processes = range.upperBound
      // Be it 1.
      group.settings.isMultiprocess = true
    },
    DaemonProcessOption("preload", default: "Off", isAddition: true) { (group, text, _) throws(ConfigError) in
      guard let isOn = onOff(text) else { throw invalidDaemon("preload flag", "preload", text, "it must be On or Off") }
      group.preloads = isOn
    },
    .time("idle-timeout", "idle timeout", default: "60", isAddition: true) { $0.idleTimeout = $1 },
    DaemonProcessOption("cgroup", default: "–", isAddition: true) { (group, text, _) throws(ConfigError) in
      let names = text.bytes.split(separator: Ascii.slash, omittingEmptySubsequences: false).dropFirst()
      let isPlain = names.allSatisfy { !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8) }
      guard text.bytes.first == Ascii.slash, names.count > 1, isPlain else {
        throw invalidDaemon(
          "control group", "cgroup", text,
          "it must be the absolute path of a directory in a cgroup file system, without '.', '..' and '//'")
      }
      group.settings.controlGroup = text.bytes
    },
    DaemonProcessOption("cgroup-set", default: "–", isAddition: true) { (group, text, _) throws(ConfigError) in
      let file = text.bytes.prefix { $0 != Ascii.colon }
      let value = text.bytes.dropFirst(file.count + 1)
      guard !file.isEmpty, file.first != Ascii.dot, !file.contains(Ascii.slash), !value.isEmpty else {
        throw invalidDaemon(
          "control group setting", "cgroup-set", text, "it must be FILE:VALUE, as in memory.max:512M, FILE a name without '/'")
      }
      group.controlGroupValues.append((ByteText(file), ByteText(value)))
    },
    // The kernel counts whole seconds; part of one is a second.
    .time("cpu-time-limit", "CPU time limit", default: "0") {
      $0.settings.cpuTimeLimit = UInt64(clamping: $1 / 1_000 + ($1 % 1_000 == 0 ? 0 : 1))
    },
  ]

  /// `N`, or `MIN-MAX`, of which MIN may be 0.
  private static func processes(_ text: ByteText) -> ClosedRange<Int>? {
    let most = Int(Int32.max)
    if let number = NumberSyntax.integer(text) { return (1...most).contains(number) ? number...number : nil }
    let parts = text.bytes.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    guard parts.count == 2, let low = NumberSyntax.integer(ByteText(parts[0])),
      let high = NumberSyntax.integer(ByteText(parts[1])),
      low >= 0, high >= max(low, 1), high <= most
    else { return nil }
    return low...high
  }

  // MARK: - users and groups

  /// - unknown: what cannot be determined of a number that has no entry.
  private static func user(
    _ text: ByteText, _ thing: String, _ option: String, unknown: String, _ system: ParseEnvironment
  ) throws(ConfigError) -> UserRecord {
    if let uid = try number(text, thing, option) {
      if let record = system.userWithID(uid) { return record }
      throw ConfigError("Couldn't determine \(unknown). \(option)=\(text): the password database has no such number.")
    }
    if let record = system.userNamed(text) { return record }
    throw invalidDaemon(thing, option, text, "bad user name \(text): the system has no such user")
  }

  private static func gid(
    _ text: ByteText, _ thing: String, _ option: String, _ system: ParseEnvironment
  ) throws(ConfigError) -> UInt32 {
    if let gid = try number(text, thing, option) ?? system.groupNamed(text) { return gid }
    throw invalidDaemon(thing, option, text, "bad group name \(text): the system has no such group")
  }

  /// The number in `#1000`; nil: the text is a name. The highest is what the system calls "no user".
  private static func number(_ text: ByteText, _ thing: String, _ option: String) throws(ConfigError) -> UInt32? {
    guard !text.isEmpty else { throw invalidDaemon(thing, option, text, "write a name, or '#' and a number") }
    guard text.bytes.first == Ascii.hash else { return nil }
    guard let number = NumberSyntax.integer(ByteText(text.bytes.dropFirst())), number < Int(UInt32.max),
      let id = UInt32(exactly: number)
    else { throw invalidDaemon(thing, option, text, "write a number after '#'") }
    return id
  }

  private static func twoOwners(_ group: GroupConfig) -> ConfigError {
    ConfigError("Only one of script-user and script-group allowed. Remove one of them from '\(group.name)'.")
  }
}
