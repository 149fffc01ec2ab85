import ArgumentParser
import CInstallation
import Glibc

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve an application with an httpd of its own, until Ctrl-C.",
    discussion: """
      APP is a file (app.py, path/to/app.wsgi, manage.py, production.ini), a module (shop.web, shop.web:app, shop:create_app())
      or a project's directory; without it, the project in the current directory. Most options of mod_wsgi-express
      start-server are known.
      """,
    aliases: ["start-server"])

  @Argument(help: "The application.")
  var app: String?

  @Option(help: ArgumentHelp("The same as APP.", visibility: .hidden)) var entryPoint: String?

  @Option(help: "The address to listen on.")
  var host = "127.0.0.1"

  @Option(help: "The port to listen on. (default: 8000, or the next that is free)")
  var port: Int?

  @Option(help: "The user that root's server runs as. (default: www-data)")
  var user: String?

  @Option(help: "The group that root's server runs as. (default: the user's)")
  var group: String?

  @Option(
    help: ArgumentHelp(
      "The virtual environment. (default: VIRTUAL_ENV, or .venv, venv or env in the project)", valueName: "dir"))
  var venv: String?

  @Option(help: "The name of the application in its module. (default: application, app, create_app() or make_app())")
  var callableObject: String?

  @Option(name: .customLong("static"), help: ArgumentHelp("Files that httpd serves. May be repeated.", valueName: "/url=dir"))
  var statics: [String] = []

  @Flag(
    name: [.long, .customLong("reload-on-changes")], help: "Replace the application when a module that it has loaded changes.")
  var reload = false

  @Flag(help: "Show tracebacks in the browser. For loopback addresses alone.")
  var debug = false

  @Flag(help: "Print the configuration, and serve nothing.")
  var printConfig = false

  @Option(help: ArgumentHelp("Write a virtual host for the system's httpd there, and serve nothing.", valueName: "dir"))
  var export: String?

  @Option(help: ArgumentHelp("A directory for the server's files, which stay there.", valueName: "dir"))
  var serverRoot: String?

  @Option(help: ArgumentHelp("The httpd to run.", valueName: "file"))
  var httpdExecutable: String?

  @Option(help: ArgumentHelp("Where httpd has its modules.", valueName: "dir"))
  var modulesDirectory: String?

  @OptionGroup var options: ServerOptions

  func validate() throws {
    if let port, !(1...65535).contains(port) { throw ValidationError("--port \(port) is not a port.") }
    if debug, !ListenAddress.isLoopback(host) {
      throw ValidationError(
        "--debug shows the code of the application to clients: not with --host \(host), which others can reach.")
    }
  }

  func run() throws {
    guard export == nil, !printConfig else { return try write() }
    let installation = try Self.installation()
    let identity = try self.identity()
    let directory = try ServerDirectory(serverRoot)
    defer { directory.remove() }
    let copy = try identity.flatMap { (user) throws(CommandFailure) in try directory.copyOfScript(target, for: user) }
    var project = try identity.withRights { () throws(CommandFailure) in
      try ServedProject.find(copy ?? target, self, installation, as: identity)
    }
    if copy != nil { project.note("a copy is served: '\(Identity.name(of: identity))' cannot reach \(target ?? "")") }
    let address = try ListenAddress(host: host, port: port)
    let configuration = try project.write(to: directory, address, self, identity)
    let server = ForegroundServer(
      httpd: try Self.httpd(httpdExecutable), configuration: configuration, pidFile: directory.path + "/httpd.pid")
    try server.run { Output.write(project.announcement(address, self)) }
    Output.write("Stopped.\n")
  }

  private var target: String? { entryPoint ?? app }

  /// A configuration alone.
  private func write() throws {
    let (installation, identity) = (try Self.installation(), try self.identity())
    let project = try identity.withRights { () throws(CommandFailure) in
      try ServedProject.find(target, self, installation, as: identity)
    }
    if let directory = export { return try project.export(to: Files.absolute(directory), self) }
    Output.write(try project.printed(try ListenAddress(host: host, port: port), self, identity))
  }

  /// Whom root's server runs as. A project's settings are Python: root runs none of it, whatever is asked for.
  private func identity() throws(CommandFailure) -> Identity? {
    Identity.isRoot ? try Identity(user: user ?? "www-data", group: group) : nil
  }

  private static func installation() throws(CommandFailure) -> Installation {
    let found = Installation.found
    if found.hasModule { return found }
    throw CommandFailure(
      .failed, "there is no mod_wsgi.so in \(found.directory), nor beside this command; run 'make install'")
  }

  /// The program of httpd.
  static func httpd(_ chosen: String?) throws(CommandFailure) -> String {
    if let chosen { return Files.absolute(chosen) }
    let known = String(cString: wsgi_installation_httpd())
    if access(known, X_OK) == 0 { return known }
    if let found = ["apache2", "httpd"].lazy.compactMap(Program.find).first { return found }
    throw CommandFailure(
      .failed,
      "there is no httpd: looked for \(known), and for apache2 and httpd in PATH. Install it (Debian: apt-get install"
        + " apache2-bin), or name it with --httpd-executable")
  }
}
