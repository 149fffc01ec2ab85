/// A Python's version, as far as an engine depends on it.
public struct PythonVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let major: UInt32
  public let minor: UInt32

  public init(major: UInt32, minor: UInt32) {
    self.major = major
    self.minor = minor
  }

  /// Reads `3.11`, and `3.11` from `3.11.2` or `3.11.2.final.0`.
  public init?(_ text: String) {
    let parts = text.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count >= 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1].prefix { $0.isASCII && $0.isNumber }) else {
      return nil
    }
    self.init(major: major, minor: minor)
  }

  /// The version in an interpreter's name: 3.12 of `/usr/bin/python3.12`.
  public init?(interpreter path: String) {
    let name = path.split(separator: "/").last ?? ""
    guard name.hasPrefix("python") else { return nil }
    self.init(String(name.dropFirst(6)))
  }

  public var description: String { "\(major).\(minor)" }

  public static func < (left: PythonVersion, right: PythonVersion) -> Bool {
    (left.major, left.minor) < (right.major, right.minor)
  }
}

/// The content of a `python-home`.
public struct PythonHome: Sendable {
  public let path: String
  public let isDirectory: Bool
  /// The content of its `pyvenv.cfg`; nil if it is missing or unreadable.
  public let environment: PythonEnvironment?
  /// The versions of its `lib/python3.X` directories: it is an installation.
  public let installed: [PythonVersion]

  public init(path: String, isDirectory: Bool, environment: PythonEnvironment?, installed: [PythonVersion]) {
    self.path = path
    self.isDirectory = isDirectory
    self.environment = environment
    self.installed = installed
  }
}

/// The content of a virtual environment's `pyvenv.cfg`.
public struct PythonEnvironment: Sendable {
  private let entries: [(key: String, value: String)]

  public init(_ text: String) {
    entries = text.split(whereSeparator: \.isNewline).compactMap { line in
      guard let equals = line.firstIndex(of: "=") else { return nil }
      return (PythonEnvironment.trimmed(line[..<equals]), PythonEnvironment.trimmed(line[line.index(after: equals)...]))
    }
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }

  /// The version of the Python that made it: "3.11.2", "3.11.2.final.0".
  private var releases: some Sequence<String> {
    entries.lazy.filter { $0.key == "version" || $0.key == "version_info" }.map(\.value)
  }

  /// The version that it was made with; nil where it does not say.
  public var version: PythonVersion? { releases.compactMap { PythonVersion($0) }.first { _ in true } }

  /// The directory of the interpreter that it was made with.
  public var base: String? { entries.first { $0.key == "home" && !$0.value.isEmpty }?.value }

  /// The problem with an environment that another installation than the running one made; nil: there is none. The same 3.X is
  /// enough to start, but extension modules of the standard library need their own.
  ///
  /// - home: where the environment is.
  /// - bin: its `base` with symbolic links followed.
  /// - library, release: the library that runs, with links followed, and its "3.11.2".
  public func mismatch(home: String, bin: String, library: String, release: String) -> String? {
    let parts = (releases.first { _ in true } ?? "").split(separator: ".", omittingEmptySubsequences: false).prefix(3)
    let made = parts.joined(separator: ".")
    let installation = bin.split(separator: "/").dropLast().map { "/" + $0 }.joined()
    guard parts.count == 3, made != release, !library.hasPrefix(installation + "/") else { return nil }
    return "The environment '\(home)' is of Python \(made) in '\(installation)', and this process runs Python \(release) from "
      + "'\(library)': modules such as ssl may not load. Make the environment with that Python, or the engine with "
      + "`make engine PYTHON=\(home)/bin/python3`."
  }
}

/// Which engine a process loads.
public enum EngineChoice {
  /// The version whose engine serves `home`, or where there is none the `preferred` one, else the newest.
  ///
  /// - engines: the versions there are engines for.
  /// - directory: where the engines are, for messages.
  public static func version(
    home: PythonHome?, engines: [PythonVersion], preferred: PythonVersion?, directory: String
  ) throws(EngineChoiceFailure) -> PythonVersion {
    guard let newest = engines.max() else { throw .noEngines(directory: directory) }
    guard let home else { return preferred.flatMap { engines.contains($0) ? $0 : nil } ?? newest }
    guard home.isDirectory else { throw .noHome(path: home.path) }
    if let environment = home.environment {
      // An environment that does not tell its version is taken at its word by Python too.
      guard let version = environment.version else { return preferred ?? newest }
      guard engines.contains(version) else {
        throw .otherVersion(path: home.path, version: version, engines: engines.sorted(), directory: directory)
      }
      return version
    }
    guard !home.installed.isEmpty else { throw .notPython(path: home.path) }
    if let preferred, home.installed.contains(preferred), engines.contains(preferred) { return preferred }
    guard let version = home.installed.filter(engines.contains).max() else {
      throw .otherVersion(
        path: home.path, version: home.installed.max() ?? newest, engines: engines.sorted(), directory: directory)
    }
    return version
  }
}

/// Why there is no engine for a process; the description says how to correct that.
public enum EngineChoiceFailure: Error, Equatable, CustomStringConvertible {
  case noEngines(directory: String)
  case noHome(path: String)
  case noInterpreter(path: String)
  case notPython(path: String)
  /// `path` is what the process may not pass or read; `what` is the Python that it belongs to.
  case denied(path: String, mode: UInt32, isDirectory: Bool, what: String)
  case otherVersion(path: String, version: PythonVersion, engines: [PythonVersion], directory: String)

  public var description: String {
    switch self {
    case .noEngines(let directory):
      "there is no wsgi-engine-3.X.so in '\(directory)'; build and install one with 'make engine PYTHON=/usr/bin/python3'"
    case .noHome(let path):
      "the Python home '\(path)' is not a directory; use an existing virtual environment, or create this one "
        + "with 'python3 -m venv \(path)'"
    case .noInterpreter(let path):
      "the interpreter '\(path)' does not exist; correct python=, or leave it out and name an environment with python-home="
    case .notPython(let path):
      "the Python home '\(path)' has neither pyvenv.cfg (virtual environment) nor lib/python3.X (installation); "
        + "create an environment with 'python3 -m venv \(path)', or use another"
    case .denied(let path, let mode, let isDirectory, let what):
      "\(what) cannot be used: the user of this process may not \(isDirectory ? "enter the directory" : "read") '\(path)', whose "
        + "mode is 0\(String(mode & 0o7777, radix: 8)); run 'chmod \(isDirectory ? "o+x" : "o+r") \(path)'"
    case .otherVersion(let path, let version, let engines, let directory):
      "the Python home '\(path)' is for Python \(version), and '\(directory)' has an engine for "
        + "\(engines.map(\.description).joined(separator: ", ")); build one with 'make engine PYTHON=python\(version)', or "
        + "recreate the environment"
    }
  }
}
