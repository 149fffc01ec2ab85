import Glibc
import WSGICore

/// Which of the engines a process loads.
extension InstalledEngines {
  public init(in directory: String, preferred: PythonVersion?) {
    self.init()
    self.directory = directory
    self.preferred = preferred
    versions = pythonVersions(in: directory, prefix: "wsgi-engine-", suffix: ".so")
  }

  public func file(of version: PythonVersion) -> String { "\(directory)/wsgi-engine-\(version).so" }

  /// The engine for the Python that the configuration names by its interpreter or its home, or for the usual one.
  ///
  /// It looks at files that may be a tenant's, who can make that take for ever or have effects: not for a process that has
  /// more rights than the tenant, nor for one that others wait for.
  /// - root: what to put before the names, where the process does not have its root directory yet.
  func file(python: String?, home: String?, root: String = "") throws(EngineChoiceFailure) -> String {
    file(of: try version(python: python, home: home.map(firstDirectory), root: root))
  }

  /// Loads that engine.
  public func load(python: String?, home: String?, root: String = "") throws(EngineFailure) -> Engine {
    let path: String
    do throws(EngineChoiceFailure) {
      path = try file(python: python, home: home, root: root)
    } catch {
      throw .missing(error.description)
    }
    return try Engine(path: path)
  }

  /// Its version.
  public func version(python: String?, home: String?, root: String = "") throws(EngineChoiceFailure) -> PythonVersion {
    guard let python else {
      guard let home else { return try choose(nil) }
      return try choose(try PythonHome.inspect(home, root: root))
    }
    try PythonHome.checkPassage(to: root + python, of: "the interpreter '\(python)'")
    // A link below the root may lead to what is there only after the change of the root directory.
    var about = stat()
    guard lstat(root + python, &about) == 0 else { throw .noInterpreter(path: python) }
    if let home {
      return try choose(namedVersion(root + python), or: try PythonHome.inspect(home, root: root))
    }
    // A virtual environment is told by where its interpreter is, an installation by what that really is.
    let nominal = try PythonHome.inspect(prefix(of: python), root: root)
    if nominal.environment != nil { return try choose(nominal) }
    let real = realPath(root + python) ?? root + python
    let installation = try PythonHome.inspect(prefix(of: real), root: "")
    // An interpreter without a library of its own has that of the system.
    let usual = installation.installed.isEmpty ? preferred : nil
    return try choose(namedVersion(root + python) ?? usual, or: installation)
  }

  private func choose(_ home: PythonHome?) throws(EngineChoiceFailure) -> PythonVersion {
    try EngineChoice.version(home: home, engines: versions, preferred: preferred, directory: directory)
  }

  private func choose(_ version: PythonVersion?, or home: PythonHome) throws(EngineChoiceFailure) -> PythonVersion {
    guard let version else { return try choose(home) }
    guard versions.contains(version) else {
      throw .otherVersion(path: home.path, version: version, engines: versions.sorted(), directory: directory)
    }
    return version
  }

  /// 3.12 of an interpreter that is `python3.12` once its symbolic links are followed.
  private func namedVersion(_ python: String) -> PythonVersion? {
    PythonVersion(interpreter: realPath(python) ?? python)
  }

  private func realPath(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  /// `prefix:exec_prefix` is two directories, of which the first decides.
  private func firstDirectory(_ home: String) -> String { home.split(separator: ":").first.map(String.init) ?? home }

  /// `/usr` of `/usr/bin/python3`.
  private func prefix(of path: String) -> String {
    let parts = path.split(separator: "/").dropLast(2)
    return parts.isEmpty ? "/" : "/" + parts.joined(separator: "/")
  }
}

extension PythonHome {
  /// Looks at a directory, with the rights of this process: see `InstalledEngines.file`.
  static func inspect(_ path: String, root: String) throws(EngineChoiceFailure) -> PythonHome {
    let what = "the Python home '\(path)'"
    try checkPassage(to: root + path + "/pyvenv.cfg", of: what)
    var about = stat()
    guard stat(root + path, &about) == 0, about.st_mode & S_IFMT == S_IFDIR else {
      return PythonHome(path: path, isDirectory: false, environment: nil, installed: [])
    }
    let configuration = SmallFile.text(of: root + path + "/pyvenv.cfg")
    if configuration == nil, errno == EACCES { throw denied(root + path + "/pyvenv.cfg", what) }
    let home = PythonHome(
      path: path, isDirectory: true, environment: configuration.map { PythonEnvironment($0) },
      installed: pythonVersions(in: root + path + "/lib", prefix: "python", suffix: ""))
    // An environment is of no use without the installation that it was made with, which Python would say in 20 lines.
    if let base = home.environment?.base, base.hasPrefix("/") { try checkPassage(to: root + base + "/python", of: what) }
    return home
  }

  /// Whether the directories on the way to a file may be passed.
  static func checkPassage(to path: String, of what: String) throws(EngineChoiceFailure) {
    for index in path.indices where path[index] == "/" {
      let directory = index == path.startIndex ? "/" : String(path[..<index])
      if access(directory, X_OK) != 0, errno == EACCES { throw denied(directory, what) }
    }
  }

  private static func denied(_ path: String, _ what: String) -> EngineChoiceFailure {
    var about = stat()
    let isKnown = stat(path, &about) == 0
    return .denied(
      path: path, mode: isKnown ? about.st_mode : 0, isDirectory: isKnown && about.st_mode & S_IFMT == S_IFDIR, what: what)
  }
}

/// Files whose text is short.
enum SmallFile {
  static let most = 16384

  /// A regular file's first 16 KB; nil with errno where it cannot be read, or is a device, a pipe or the like: these are opened
  /// for no longer than it takes to see that, and never become the process's terminal.
  static func bytes(of path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var about = stat()
    guard fstat(descriptor, &about) == 0, about.st_mode & S_IFMT == S_IFREG else {
      errno = EINVAL
      return nil
    }
    return withUnsafeTemporaryAllocation(byteCount: most, alignment: 1) { buffer in
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      return count < 0 ? nil : Array(buffer.prefix(count))
    }
  }

  static func text(of path: String) -> String? { bytes(of: path).map { String(decoding: $0, as: UTF8.self) } }
}

/// The versions in the names of a directory's entries.
private func pythonVersions(in directory: String, prefix: String, suffix: String) -> [PythonVersion] {
  guard let stream = opendir(directory) else { return [] }
  defer { closedir(stream) }
  var found: [PythonVersion] = []
  while let entry = readdir(stream) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
      name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    guard name.hasPrefix(prefix), name.hasSuffix(suffix), name.count > prefix.count + suffix.count else { continue }
    let middle = name.dropFirst(prefix.count).dropLast(suffix.count)
    if let version = PythonVersion(String(middle)), version.description == middle { found.append(version) }
  }
  return found
}
