/// Looks for the application that a user means, or that a project's directory has.
struct ApplicationSearch {
  /// `--callable-object`.
  let callable: String?
  /// Where a name is looked for.
  let start: String
  /// Directories of the environment's packages, for modules that are installed.
  let packages: [String]

  private static let files = ["wsgi.py", "app.py", "application.py", "main.py"]

  func find(_ target: String?) throws(CommandFailure) -> FoundApplication {
    guard let target else { return try search(start) }
    let path = Files.absolute(target, in: start)
    if Files.isDirectory(path) { return try search(path) }
    if let found = try file(path, callable) { return found }
    let (name, attribute) = Self.split(target)
    if name.contains("/") || name.hasSuffix(".py") || name.hasSuffix(".wsgi") || name.hasSuffix(".ini") {
      let path = Files.absolute(name, in: start)
      if let found = try file(path, attribute ?? callable) { return found }
      if let closed = Files.closedDirectory(onTheWayTo: path) { throw Self.closed(closed, path) }
      throw CommandFailure(.failed, "there is no file \(path)")
    }
    return try module(name, attribute ?? callable)
  }

  /// `module:callable` at its last colon.
  private static func split(_ target: String) -> (name: String, attribute: String?) {
    guard let colon = target.lastIndex(of: ":") else { return (target, nil) }
    return (String(target[..<colon]), String(target[target.index(after: colon)...]))
  }

  static func closed(_ directory: String, _ path: String) -> CommandFailure {
    CommandFailure(
      .failed,
      "cannot look at \(path): '\(Identity.current)' may not enter \(directory); run 'chmod o+x \(directory)', or choose its"
        + " owner with --user")
  }

  // MARK: a directory

  private func search(_ directory: String) throws(CommandFailure) -> FoundApplication {
    let manage = directory + "/manage.py"
    if let text = Files.text(manage), let project = django(manage, text) { return project }
    var found = try inFiles(of: directory)
    // Packages, and `src`, one level down.
    for name in Files.names(in: directory) where found == nil {
      let below = directory + "/" + name
      if name == "src" || Files.isFile(below + "/__init__.py") {
        found = try inFiles(of: below, of: ["__init__.py"] + Self.files)
      }
    }
    if let found { return found }
    let scripts = Files.names(in: directory).filter { $0.hasSuffix(".wsgi") }
    if scripts.count == 1, let script = try file(directory + "/" + scripts[0], callable) { return script }
    for name in ["production.ini", "development.ini"] where Files.text(directory + "/" + name)?.contains("[app:") == true {
      return paste(directory + "/" + name)
    }
    if let closed = Files.closedDirectory(onTheWayTo: directory + "/.") { throw Self.closed(closed, directory) }
    throw CommandFailure(
      .failed,
      "there is no application in \(directory). Looked for manage.py (Django); for application, app, create_app() or make_app()"
        + " in " + Self.files.joined(separator: ", ")
        + ", there, in src and in packages; for one *.wsgi; and for [app:…] in production.ini"
        + " and development.ini. Name it: wsgictl serve app.py, module:callable or path/to/script.wsgi")
  }

  private func inFiles(of directory: String, of names: [String] = files) throws(CommandFailure) -> FoundApplication? {
    for name in names {
      let path = directory + "/" + name
      guard let text = Files.text(path), PythonSource(text).callable != nil || callable.map(text.contains) == true else {
        continue
      }
      return try file(path, callable)
    }
    return nil
  }

  // MARK: a file

  private func file(_ path: String, _ attribute: String?) throws(CommandFailure) -> FoundApplication? {
    guard Files.isFile(path) else { return nil }
    guard let text = Files.text(path) else {
      throw CommandFailure(
        .failed, "'\(Identity.current)' cannot read \(path); run 'chmod o+r \(path)', or choose its owner with --user")
    }
    let name = Files.name(path)
    if name == "manage.py", let project = django(path, text) { return project }
    if name.hasSuffix(".ini") { return paste(path) }
    let known = PythonSource(text).callable
    let stem = name.hasSuffix(".py") ? String(name.dropLast(3)) : name
    guard name.hasSuffix(".py"), PythonSource.isIdentifier(stem) else {
      return FoundApplication(
        entry: .script(path, callable: attribute ?? known?.name ?? "application"), source: path, directory: Files.parent(path),
        importDirectory: Files.parent(path))
    }
    guard let known = attribute.map(Self.called) ?? known else {
      throw CommandFailure(
        .failed,
        "\(path) has none of application, app, create_app() and make_app(). Name the application: wsgictl serve \(path):NAME")
    }
    // A module of a package is imported by its whole name.
    var root = Files.parent(path)
    var module = stem == "__init__" ? [] : [stem]
    while Files.isFile(root + "/__init__.py"), PythonSource.isIdentifier(Files.name(root)) {
      module.insert(Files.name(root), at: 0)
      root = Files.parent(root)
    }
    return FoundApplication(
      entry: .module(module.joined(separator: "."), callable: known.name, isFactory: known.isFactory), source: path,
      directory: Files.name(root) == "src" ? Files.parent(root) : root, importDirectory: root)
  }

  private static func called(_ attribute: String) -> (name: String, isFactory: Bool) {
    attribute.hasSuffix("()") ? (String(attribute.dropLast(2)), true) : (attribute, false)
  }

  private func paste(_ path: String) -> FoundApplication {
    FoundApplication(entry: .paste(path), source: path, directory: Files.parent(path), importDirectory: Files.parent(path))
  }

  private func django(_ manage: String, _ text: String) -> FoundApplication? {
    guard let settings = Variables.value("DJANGO_SETTINGS_MODULE") ?? Self.settings(in: text) else { return nil }
    let directory = Files.parent(manage)
    // `project.settings.local` has its WSGI module in `project`.
    var package = settings.split(separator: ".").dropLast()
    while !package.isEmpty, !Files.isFile(directory + "/" + package.joined(separator: "/") + "/wsgi.py") { package.removeLast() }
    let entry: FoundApplication.Entry =
      package.isEmpty
      ? .module("django.core.wsgi", callable: "get_wsgi_application", isFactory: true)
      : .module(package.joined(separator: ".") + ".wsgi", callable: "application", isFactory: false)
    return FoundApplication(
      entry: entry, source: manage, directory: directory, importDirectory: directory, settings: settings)
  }

  /// The value beside DJANGO_SETTINGS_MODULE.
  private static func settings(in text: String) -> String? {
    for line in text.split(whereSeparator: \.isNewline) where line.contains("DJANGO_SETTINGS_MODULE") {
      let quoted = line.split(whereSeparator: { $0 == "\"" || $0 == "'" })
      if let place = quoted.firstIndex(of: "DJANGO_SETTINGS_MODULE"), quoted.count > place + 2 {
        return String(quoted[place + 2])
      }
    }
    return nil
  }

  // MARK: a module

  private func module(_ name: String, _ attribute: String?) throws(CommandFailure) -> FoundApplication {
    guard name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(PythonSource.isIdentifier) else {
      throw CommandFailure(.failed, "'\(name)' is neither a file nor the name of a module")
    }
    let relative = name.split(separator: ".").joined(separator: "/")
    let places = [start, start + "/src"] + packages
    for place in places {
      for path in ["\(place)/\(relative).py", "\(place)/\(relative)/__init__.py"] where Files.isFile(path) {
        let known = attribute.map(Self.called) ?? Files.text(path).flatMap { PythonSource($0).callable } ?? ("application", false)
        return FoundApplication(
          entry: .module(name, callable: known.name, isFactory: known.isFactory), source: path, directory: start,
          importDirectory: packages.contains(place) ? start : place)
      }
    }
    throw CommandFailure(
      .failed,
      "there is no file and no module '\(name)'. Looked for \(relative).py and \(relative)/__init__.py in "
        + places.joined(separator: ", "))
  }
}
