import CInstallation
import Glibc

/// An application with its Python and its files, ready to be served.
struct ServedProject {
  private var application: FoundApplication
  private let python: PythonChoice
  private let installation: Installation
  private var statics: [StaticFiles]
  /// For the user: what was not as it should be.
  private var notes: [String] = []

  static func find(
    _ target: String?, _ command: ServeCommand, _ installation: Installation, as identity: Identity?
  ) throws(CommandFailure) -> ServedProject {
    let start = Files.workingDirectory
    let near = try PythonChoice.home(command.venv, [start])
    let search = ApplicationSearch(callable: command.callableObject, start: start, packages: PythonChoice.packages(of: near))
    let application = try search.find(target)
    let home = try PythonChoice.home(command.venv, [application.directory, start])
    return ServedProject(
      application, try PythonChoice(home: home, installation), installation,
      try command.statics.map { (option) throws(CommandFailure) in try StaticFiles(option: option) }, identity)
  }

  private init(
    _ application: FoundApplication, _ python: PythonChoice, _ installation: Installation, _ statics: [StaticFiles],
    _ identity: Identity?
  ) {
    (self.application, self.python, self.installation, self.statics) = (application, python, installation, statics)
    guard application.settings != nil, let program = python.program else { return }
    do throws(CommandFailure) {
      let django = try DjangoProject(application, program, as: identity)
      if let entry = django.entry { self.application.entry = entry }
      self.application.servesStaticFiles = django.servesStaticFiles
      self.statics += django.directories.filter { found in !statics.contains { $0.url == found.url } }
    } catch {
      notes.append(error.text)
    }
  }

  mutating func note(_ text: String) { notes.append(text) }

  // MARK: a server

  /// The files of a server; the path of its configuration.
  mutating func write(
    to directory: ServerDirectory, _ address: ListenAddress, _ command: ServeCommand, _ identity: Identity?
  ) throws(CommandFailure) -> String {
    var module = installation.directory + "/mod_wsgi.so"
    // A build tree in root's home is of no use to anybody else.
    if let identity, try identity.withRights({ Files.closedDirectory(onTheWayTo: module) }) != nil {
      for name in Files.names(in: installation.directory) where name.hasSuffix(".so") {
        _ = try directory.copy("\(installation.directory)/\(name)")
      }
      _ = try directory.copy(installation.directory + "/wsgi-worker", mode: 0o755)
      module = directory.path + "/mod_wsgi.so"
    }
    let configuration = try self.configuration(in: directory.path, command)
    for (name, lines) in scripts(command) { _ = try directory.write(name, lines) }
    return try directory.write(
      "httpd.conf",
      [
        configuration.server(
          root: directory.path, module: module, modules: modules(command), host: address.host, port: address.port,
          identity: identity)
      ])
  }

  /// Whole, with the script that it may name in front.
  func printed(
    _ address: ListenAddress, _ command: ServeCommand, _ identity: Identity?
  ) throws(CommandFailure) -> String {
    let root = command.serverRoot.map { Files.absolute($0) } ?? "/tmp/wsgictl-\(address.port)"
    var text = ""
    for (name, lines) in scripts(command) where name.hasSuffix(".wsgi") {
      text += "# \(root)/\(name), the script below:\n" + lines.map { "#     \($0)\n" }.joined() + "\n"
    }
    return text
      + (try configuration(in: root, command)).server(
        root: root, module: installation.directory + "/mod_wsgi.so", modules: modules(command), host: address.host,
        port: address.port, identity: identity)
  }

  /// For the system's httpd.
  func export(to directory: String, _ command: ServeCommand) throws(CommandFailure) {
    guard !command.reload, !command.debug else {
      throw CommandFailure(.usage, "--reload and --debug are not for the system's httpd")
    }
    let target = try ServerDirectory(directory, hasPages: false)
    for (name, lines) in scripts(command) { _ = try target.write(name, lines) }
    let name = Files.name(application.directory).isEmpty ? "application" : Files.name(application.directory)
    let text = try configuration(in: target.path, command).virtualHost(
      name: command.options.serverName ?? "localhost", user: command.user, group: command.group)
    let file = try target.write(name + ".conf", [text])
    Output.write(
      "Written: \(file)\nTo use it with Debian's httpd, as root:\n\n    cp \(file) /etc/apache2/sites-available/\n"
        + "    a2ensite \(name) && apachectl configtest && systemctl reload apache2\n")
  }

  private func modules(_ command: ServeCommand) -> String {
    command.modulesDirectory.map { Files.absolute($0) } ?? String(cString: wsgi_installation_modules())
  }

  private func configuration(in directory: String, _ command: ServeCommand) throws(CommandFailure) -> ServerConfiguration {
    var script = (path: directory + "/application.wsgi", callable: "application")
    if case .script(let path, let callable) = application.entry, !isDeveloped(command) { script = (path, callable) }
    var options = command.options
    if options.processGroup.isEmpty { options.processGroup = "application" }
    return ServerConfiguration(
      application: application, home: python.home, statics: statics, options: options, script: script,
      importDirectories: isDeveloped(command) ? [directory] : [])
  }

  // MARK: the script

  private func isDeveloped(_ command: ServeCommand) -> Bool { command.reload || command.debug }

  /// The files of Python that the server has beside its configuration.
  private func scripts(_ command: ServeCommand) -> [(name: String, lines: [String])] {
    let head = "# Written by wsgictl serve, for \(application.source)."
    guard isDeveloped(command) else {
      if case .script = application.entry { return [] }
      return [("application.wsgi", [head] + application.lines)]
    }
    let development = String(decoding: PackageResources.development_py, as: UTF8.self)
    let arguments = "find, debug=\(command.debug ? "True" : "False"), reload=\(command.reload ? "True" : "False")"
    return [
      (
        "application.wsgi",
        [head, "import wsgictl_development", "", "", "def find():"] + application.lines.map { "    " + $0 }
          + ["    return application", "", "", "application = wsgictl_development.load(\(arguments))"]
      ), ("wsgictl_development.py", [development]),
    ]
  }

  // MARK: words

  func announcement(_ address: ListenAddress, _ command: ServeCommand) -> String {
    let mount = command.options.mountPoint
    var lines = [
      ("Serving", "\(application.source) (\(application.title))"),
      ("URL", address.url + (mount.hasSuffix("/") ? mount : mount + "/")),
      ("Python", python.title), ("Log", command.options.errorLog.map { Files.absolute($0) } ?? "below"),
    ]
    for files in statics { lines.append(("Static", "\(files.url) from \(files.path)")) }
    for note in notes { lines.append(("Note", note)) }
    return lines.map { ($0.0 + "       ").prefix(8) + " " + $0.1 + "\n" }.joined() + "Ctrl-C stops it.\n\n"
  }
}
