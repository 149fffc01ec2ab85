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

  public var description: String { "\(major).\(minor)" }

  public static func < (left: PythonVersion, right: PythonVersion) -> Bool {
    (left.major, left.minor) < (right.major, right.minor)
  }
}

/// What was found where a `python-home` points to.
public struct PythonHome: Sendable {
  public let path: String
  public let isDirectory: Bool
  /// The text of its `pyvenv.cfg`; nil where there is none, or none that can be read.
  public let environment: String?
  /// The versions of its `lib/python3.X` directories: it is an installation.
  public let installed: [PythonVersion]

  public init(path: String, isDirectory: Bool, environment: String?, installed: [PythonVersion]) {
    self.path = path
    self.isDirectory = isDirectory
    self.environment = environment
    self.installed = installed
  }

  /// The version that a virtual environment was made with; nil where its `pyvenv.cfg` does not say.
  public var environmentVersion: PythonVersion? {
    for (key, value) in entries where key == "version" || key == "version_info" {
      if let version = PythonVersion(value) { return version }
    }
    return nil
  }

  /// The directory of the interpreter that a virtual environment was made with.
  public var environmentBase: String? { entries.first { $0.key == "home" && !$0.value.isEmpty }?.value }

  /// What its `pyvenv.cfg` says.
  private var entries: [(key: String, value: String)] {
    (environment ?? "").split(whereSeparator: \.isNewline).compactMap { line in
      guard let equals = line.firstIndex(of: "=") else { return nil }
      return (trimmed(line[..<equals]), trimmed(line[line.index(after: equals)...]))
    }
  }

  private func trimmed(_ text: Substring) -> String {
    var text = text
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
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
    if home.environment != nil {
      // An environment that does not tell its version is taken at its word by Python too.
      guard let version = home.environmentVersion else { return preferred ?? newest }
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

/// Why there is no engine for a process; what to do about it is part of the description.
public enum EngineChoiceFailure: Error, Equatable, CustomStringConvertible {
  case noEngines(directory: String)
  case noHome(path: String)
  case notPython(path: String)
  /// `path` is what the process may not pass or read; `what` is the Python that it belongs to.
  case denied(path: String, mode: UInt32, isDirectory: Bool, what: String)
  case otherVersion(path: String, version: PythonVersion, engines: [PythonVersion], directory: String)

  public var description: String {
    switch self {
    case .noEngines(let directory):
      "there is no wsgi-engine-3.X.so in '\(directory)'; build one with 'make engine PYTHON=/usr/bin/python3' and install it"
    case .noHome(let path):
      "the Python home '\(path)' is no directory; name an existing virtual environment, or make this one with "
        + "'python3 -m venv \(path)'"
    case .notPython(let path):
      "the Python home '\(path)' has neither a pyvenv.cfg, as a virtual environment has, nor a lib/python3.X, as an "
        + "installation has; make an environment with 'python3 -m venv \(path)', or name another"
    case .denied(let path, let mode, let isDirectory, let what):
      "\(what) cannot be used: the user of this process may not \(isDirectory ? "pass the directory" : "read") '\(path)', whose "
        + "mode is 0\(String(mode & 0o7777, radix: 8)); 'chmod \(isDirectory ? "o+x" : "o+r") \(path)' lets it"
    case .otherVersion(let path, let version, let engines, let directory):
      "the Python home '\(path)' is for Python \(version), and '\(directory)' has an engine for "
        + "\(engines.map(\.description).joined(separator: ", ")); build one with 'make engine PYTHON=python\(version)', or "
        + "make the environment anew"
    }
  }
}
