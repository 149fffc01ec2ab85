import Glibc
import ProcessSupervision
import WSGICore

/// The Pythons of the groups and of embedded mode, and the scripts that they are to load, as the users who will.
struct PythonChecks {
  private let server: ConfigurationTest.Values
  private let groups: [ConfigurationTest.Values]
  private let scripts: [ConfigurationTest.Values]

  init(_ server: ConfigurationTest.Values, _ groups: [ConfigurationTest.Values], _ scripts: [ConfigurationTest.Values]) {
    (self.server, self.groups, self.scripts) = (server, groups, scripts)
  }

  func run() -> [Finding] {
    var found: [Finding] = []
    for group in groups where group["template"] == nil { found += findings(of: group, "group \(group["name"] ?? "?")") }
    if server["embedded"] == "On" { found += findings(of: server, "embedded mode") }
    return found
  }

  private func findings(of place: ConfigurationTest.Values, _ title: String) -> [Finding] {
    guard place["chroot"] == nil else { return [.ok("python", "\(title): its chroot is not looked into")] }
    let home = place["python-home"] ?? (place["name"] == nil ? nil : server["python-home"])
    guard let python = interpreter(place["python"], home) else {
      let missing = home.map { "\($0)/bin/python3" } ?? place["python"] ?? "python\(server["engine"] ?? "3")"
      let remedy =
        home.map { "make the environment again: python3 -m venv --clear \($0)" }
        ?? "install it (Debian: apt-get install python3), or set python-home="
      return [.fail("python", "\(title): there is no interpreter \(missing) that works", remedy)]
    }
    let identity: Identity?
    if Identity.isRoot, let user = place["user"] {
      guard let known = try? Identity(user: user) else {
        return [.fail("python", "\(title): cannot look at its files as '\(user)'", "set user= to one that is not root")]
      }
      identity = known
    } else {
      identity = nil
    }
    var found = engineProblem(home, identity, title)
    let own = scripts.filter { $0["group"] == place["name"] }
    let interpreters = own.isEmpty ? ["unknown"] : Set(own.compactMap { $0["interpreter"] }).sorted()
    for interpreter in interpreters {
      let paths = Set(own.filter { $0["interpreter"] == interpreter }.compactMap { $0["path"] })
      found += ask(python, interpreter, paths.sorted(), place, identity, title)
    }
    return found
  }

  /// An environment whose version has no engine beside the module.
  private func engineProblem(_ home: String?, _ identity: Identity?, _ title: String) -> [Finding] {
    guard let home else { return [] }
    let text = try? identity.withRights { () throws(CommandFailure) in Files.text(home + "/pyvenv.cfg") }
    guard let version = (text ?? nil).flatMap({ PythonEnvironment($0).version }) else { return [] }
    let engines = InstalledEngines(in: server["directory"] ?? "?", preferred: nil).versions
    guard !engines.contains(version) else { return [] }
    let known = engines.sorted().map(\.description).joined(separator: ", ")
    return [
      .fail(
        "python", "\(title): \(home) has Python \(version), and there are engines for \(known.isEmpty ? "none" : known)",
        "make engine PYTHON=\(home)/bin/python && make install")
    ]
  }

  private func interpreter(_ python: String?, _ home: String?) -> String? {
    if let python { return access(python, X_OK) == 0 ? python : nil }
    if let home {
      let directory = home.split(separator: ":").first.map(String.init) ?? home
      return ["python3", "python"].map { directory + "/bin/" + $0 }.first { access($0, X_OK) == 0 }
    }
    return server["engine"].flatMap { Program.python($0) }
  }

  private func ask(
    _ python: String, _ interpreter: String, _ scripts: [String], _ place: ConfigurationTest.Values, _ identity: Identity?,
    _ title: String
  ) -> [Finding] {
    let path = [place["home"], place["python-path"]].compactMap { $0 }.joined(separator: ":")
    let question = String(decoding: PackageResources.doctor_py, as: UTF8.self)
    // Root's environment may hold what is not for users of groups.
    let program = Program(
      path: python, arguments: ["-c", question, interpreter, path] + scripts, identity: identity,
      environment: place["locale"].map { ["LC_ALL=\($0)"] } ?? [], inheritsEnvironment: false)
    guard let (status, text) = try? program.output(patience: 20_000) else {
      let closed = try? identity.withRights { () throws(CommandFailure) in Files.closedDirectory(onTheWayTo: python) }
      return [
        .fail(
          "python", "\(title): '\(place["user"] ?? "?")' cannot run \(python)",
          (closed ?? nil).map { "chmod o+x \($0)" } ?? "chmod o+rx \(python)")
      ]
    }
    let lines = text.split(whereSeparator: \.isNewline)
    let findings = lines.compactMap { Finding(line: $0) }
    guard status == 0 else {
      let reason = lines.last.map(String.init) ?? "no answer within 20 s"
      return findings + [
        .fail("python", "\(title): \(python) does not work: \(reason)", "run it by hand as that user; make the environment again")
      ]
    }
    return findings.map { $0.titled(title) }
  }
}
