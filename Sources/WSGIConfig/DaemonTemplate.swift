import WSGICore

extension GroupConfig {
  /// Applies WSGIDaemonTemplate.
  static func addTemplate(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
    try add(&parse, &line, template: GroupTemplate())
  }

  /// Refuses options that do not go together.
  func checkTemplate(_ parse: borrowing ConfigParse) throws(ConfigError) {
    guard let template else { return }
    if template.runsAsOwner, !parse.environment.isRoot {
      throw ConfigError(
        "Cannot change user of WSGI daemon process when not running as root. user=%{OWNER}: start httpd as root, or set user=.")
    }
    if template.runsAsOwner, settings.engine.scriptOwner != nil {
      throw ConfigError(
        "Invalid option to WSGI daemon process definition. With user=%{OWNER} scripts must be their user's own anyway: remove"
          + " script-user= and script-group=, or set user=.")
    }
    if settings.engine.isService {
      throw ConfigError(
        "Invalid thread count for WSGI daemon process. The groups of a template are started by requests: threads= must be 1 or"
          + " more."
      )
    }
  }

  /// A value of an option that has a part for each tenant. A home directory is an absolute path.
  func templated(_ name: String, _ value: ByteText) throws(ConfigError) -> ByteText {
    guard template != nil, GroupConfig.templatedOptions.contains(name) else { return value }
    for part in value.description.components(between: "%{", and: "}")
    where !["KEY", "USER", "HOME"].contains(part) && !(name == "display-name" && part == "GROUP") {
      throw invalidDaemon("value", name, value, "%{\(part)} has no meaning here; %{KEY}, %{USER} and %{HOME} have")
    }
    return value.hasPrefix("%{HOME}") && name != "python-path" ? ByteText([Ascii.slash] + value.bytes) : value
  }

  private static let templatedOptions = ["home", "python-home", "python-path", "display-name", "cgroup"]

  /// The configuration of the group of a tenant. `user`: who its processes run as, where the template does not say.
  public func made(for key: TenantKey, user: UserRecord?) -> GroupConfig {
    guard let template else { return self }
    var group = self
    group.template = nil
    group.settings.processGroup = name.bytes + [Ascii.slash] + key.bytes
    let user = template.runsAsOwner ? user : group.user
    group.user = user
    if template.runsAsOwner, let user {
      group.group = group.group ?? user.gid
      group.settings.engine.scriptOwner = .tenant(user: user.uid, group: user.gid)
    }
    func fill(_ text: inout [UInt8]?) {
      guard let bytes = text, bytes.contains(Ascii.percent) else { return }
      var filled = ByteText(bytes).replacing("%{KEY}", with: key.bytes)
      if let user {
        filled = filled.replacing("/%{HOME}", with: user.home.bytes).replacing("%{HOME}", with: user.home.bytes)
          .replacing("%{USER}", with: user.name.bytes)
      }
      text = filled.bytes
    }
    fill(&group.settings.engine.home)
    fill(&group.settings.engine.pythonHome)
    fill(&group.settings.engine.interpreter.pythonPath)
    fill(&group.settings.controlGroup)
    var title = group.displayName?.bytes
    fill(&title)
    group.displayName = title.map { ByteText($0) }
    return group
  }
}

extension ByteText {
  fileprivate func replacing(_ pattern: String, with bytes: [UInt8]) -> ByteText {
    let wanted = [UInt8](pattern.utf8)
    var result: [UInt8] = []
    var rest = self.bytes[...]
    while let first = rest.first {
      if rest.starts(with: wanted) {
        result += bytes
        rest = rest.dropFirst(wanted.count)
      } else {
        result.append(first)
        rest = rest.dropFirst()
      }
    }
    return ByteText(result)
  }
}

extension String {
  /// The texts between an opening and a closing one.
  fileprivate func components(between open: String, and close: Character) -> [String] {
    var parts: [String] = []
    var rest = self[...]
    while let start = rest.firstRange(of: open) {
      rest = rest[start.upperBound...]
      parts.append(String(rest.prefix { $0 != close }))
    }
    return parts
  }
}

extension DaemonProcessOption {
  /// The options of WSGIDaemonTemplate that WSGIDaemonProcess does not have, or has otherwise.
  public static let ofTemplates: [DaemonProcessOption] = [
    template("key", default: "%{OWNER}") { (template, text) throws(ConfigError) in
      guard let key = GroupTemplate.Key(text) else {
        throw invalidDaemon(
          "key", "key", text,
          "it must be %{OWNER}, %{HOST}, %{SERVER}, %{RESOURCE} or %{ENV:NAME}, which differ from group to group")
      }
      template.key = key
    },
    DaemonProcessOption("user", default: "%{OWNER}", isAddition: true) { (group, text, system) throws(ConfigError) in
      group.template?.runsAsOwner = text == "%{OWNER}"
      if text == "%{OWNER}" { group.user = nil } else { try apply("user", &group, text, system) }
    },
    DaemonProcessOption("group", default: "of the user", isAddition: true) { (group, text, system) throws(ConfigError) in
      try apply("group", &group, text, system)
    },
    template("uid-range", default: "1000-59999") { (template, text) throws(ConfigError) in
      let parts = text.bytes.split(separator: Ascii.minus, omittingEmptySubsequences: false).map {
        NumberSyntax.integer(ByteText($0))
      }
      guard parts.count == 2, let low = parts[0], let high = parts[1], low > 0, low <= high, high < Int(UInt32.max) else {
        throw invalidDaemon("user id range", "uid-range", text, "it must be two user ids above 0, as in 1000-59999")
      }
      template.userIDs = UInt32(low)...UInt32(high)
    },
    template("max-groups", default: "1000") { (template, text) throws(ConfigError) in
      template.maximumGroups = try OptionForm.number(text, "max-groups", "number of groups", 1...10_000)
    },
    template("start-rate", default: "20") { (template, text) throws(ConfigError) in
      template.startRate = try OptionForm.number(text, "start-rate", "start rate", 1...10_000)
    },
    DaemonProcessOption("environment", default: "clean", isAddition: true) { (group, text, system) throws(ConfigError) in
      try apply("environment", &group, text, system)
    },
    DaemonProcessOption("processes", default: "0-1", isAddition: true) { (group, text, system) throws(ConfigError) in
      try apply("processes", &group, text, system)
    },
  ]

  private static func template(
    _ name: String, default value: String,
    _ set: @escaping @Sendable (inout GroupTemplate, ByteText) throws(ConfigError) -> Void
  ) -> DaemonProcessOption {
    DaemonProcessOption(name, default: value, isAddition: true) { (group, text, _) throws(ConfigError) in
      guard var template = group.template else { return }
      try set(&template, text)
      group.template = template
    }
  }

  /// Applies the option of that name of WSGIDaemonProcess.
  private static func apply(
    _ name: String, _ group: inout GroupConfig, _ text: ByteText, _ system: ParseEnvironment
  ) throws(ConfigError) {
    try table.first { $0.name == name }?.apply(&group, text, system)
  }
}
