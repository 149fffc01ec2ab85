import Glibc

/// The configuration of a server for one application, as a person would write it.
struct ServerConfiguration {
  let application: FoundApplication
  let home: String?
  let statics: [StaticFiles]
  let options: ServerOptions
  /// The script that WSGIScriptAlias names, and the name of the application in it.
  let script: (path: String, callable: String)
  /// Further directories of `sys.path`.
  var importDirectories: [String] = []

  // MARK: a server of one's own

  /// - root: its directory.
  /// - modules: httpd's.
  /// - identity: whom root's server runs as.
  func server(root: String, module: String, modules: String, host: String, port: Int, identity: Identity?) -> String {
    let perChild = min(max(25, options.processCount &* options.threads &* 2), 200)
    var lines = [
      "# Written by wsgictl serve, for \(application.source).", "",
      "ServerRoot \(Self.quoted(root))", "DefaultRuntimeDir \(Self.quoted(root))", "PidFile httpd.pid",
      "ServerName \(Self.quoted(options.serverName ?? Self.bracketed(host)))", "Listen \(Self.bracketed(host)):\(port)", "",
    ]
    lines += Self.modules(in: modules)
    lines += ["LoadModule wsgi_module \(Self.quoted(module))", ""]
    if let identity { lines += ["User #\(identity.uid)", "Group #\(identity.gid)", ""] }
    lines += [
      "ServerLimit 4", "StartServers 1", "ThreadsPerChild \(perChild)", "MaxRequestWorkers \(perChild * 2)", "MinSpareThreads 5",
      "GracefulShutdownTimeout 30", "",
      "# \"|/bin/cat\" writes to where wsgictl was started.",
      "ErrorLog \(Self.quoted(options.errorLog.map { Files.absolute($0) } ?? "|/bin/cat"))", "LogLevel \(options.logLevel)",
    ]
    if options.errorLog == nil { lines.append("ErrorLogFormat \"%M\"") }
    if options.accessLog { lines.append("CustomLog \"|/bin/cat\" \"%h \\\"%r\\\" %>s %B %{ms}T ms\"") }
    let types = "/etc/mime.types"
    lines += [
      "", "TypesConfig \(Files.isFile(types) ? types : "/dev/null")",
      "AddType text/css .css", "AddType text/javascript .js .mjs", "AddType image/svg+xml .svg", "",
      "DocumentRoot \(Self.quoted(root + "/htdocs"))",
      "<Directory />", "    AllowOverride None", "    Require all denied", "</Directory>", "",
    ]
    return (lines + site([])).joined(separator: "\n") + "\n"
  }

  /// The modules that such a server takes, where httpd does not have them inside.
  private static func modules(in directory: String) -> [String] {
    func line(_ name: String) -> String? {
      let path = "\(directory)/mod_\(name).so"
      return Files.isFile(path) ? "LoadModule \(name)_module \(quoted(path))" : nil
    }
    let mpm = ["mpm_event", "mpm_worker", "mpm_prefork"].lazy.compactMap(line).prefix(1)
    return mpm + ["unixd", "log_config", "authz_core", "alias", "mime"].compactMap(line)
  }

  // MARK: the system's server

  /// A virtual host for the system's httpd.
  func virtualHost(name: String, user: String?, group: String?) -> String {
    var lines = [
      "# Written by wsgictl serve --export, for \(application.source).", "",
      "<VirtualHost *:80>", "    ServerName \(name)", "",
    ]
    let owner = [("user", user), ("group", group)].compactMap { row in row.1.map { "\(row.0)=\(Self.quoted($0))" } }
    lines += site(owner).map { $0.isEmpty ? "" : "    " + $0 }
    return (lines + ["</VirtualHost>"]).joined(separator: "\n") + "\n"
  }

  /// The directives of the application.
  private func site(_ owner: [String]) -> [String] {
    var group = ["WSGIDaemonProcess \(Self.quoted(options.processGroup))"] + owner
    group.append("processes=\(options.processes) threads=\(options.threads)")
    if let home { group.append("python-home=\(Self.quoted(home))") }
    group.append("home=\(Self.quoted(options.workingDirectory.map { Files.absolute($0) } ?? application.directory))")
    let path = importDirectories + [application.importDirectory] + options.pythonPath.map { Files.absolute($0) }
    group.append("python-path=\(Self.quoted(path.joined(separator: ":")))")
    group.append("locale=\(Self.quoted(options.locale))")
    group += options.daemon.settings.map { "\($0.name)=\(Self.quoted($0.value))" }
    var lines = [group.joined(separator: " \\\n    ")]
    var alias = "WSGIScriptAlias \(Self.quoted(options.mountPoint)) \(Self.quoted(script.path))"
    alias += " process-group=\(Self.quoted(options.processGroup)) application-group=\(Self.quoted(options.applicationGroup))"
    if script.callable != "application" { alias += " callable-object=\(Self.quoted(script.callable))" }
    lines += [alias] + Self.access(to: Files.parent(script.path), file: Files.name(script.path))
    for files in statics { lines += [""] + files.lines }
    let further = options.daemon.directives
    if !further.isEmpty { lines += [""] + further }
    for path in options.includeFile { lines.append("Include \(Self.quoted(Files.absolute(path)))") }
    return lines
  }

  /// Allows the files of a directory, or one of them.
  static func access(to directory: String, file: String? = nil) -> [String] {
    guard let file else { return ["<Directory \(quoted(directory))>", "    Require all granted", "</Directory>"] }
    return [
      "<Directory \(quoted(directory))>", "    <Files \(quoted(file))>", "        Require all granted", "    </Files>",
      "</Directory>",
    ]
  }

  /// A word of httpd's configuration, in quotes where it takes them.
  static func quoted(_ text: String) -> String {
    let plain = text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "/._-:%{}+@,=".contains($0)) }
    guard text.isEmpty || !plain else { return text }
    return "\"" + text.reduce(into: "") { $0 += $1 == "\"" || $1 == "\\" ? "\\\($1)" : String($1) } + "\""
  }

  /// IPv6 addresses are in brackets where a port may follow.
  static func bracketed(_ host: String) -> String { host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host }
}
