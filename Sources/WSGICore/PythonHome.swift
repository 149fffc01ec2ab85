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
    for line in (environment ?? "").split(whereSeparator: \.isNewline) {
      guard let equals = line.firstIndex(of: "=") else { continue }
      let key = trimmed(line[..<equals])
      guard key == "version" || key == "version_info" else { continue }
      if let version = PythonVersion(trimmed(line[line.index(after: equals)...])) { return version }
    }
    return nil
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
    case .otherVersion(let path, let version, let engines, let directory):
      "the Python home '\(path)' is for Python \(version), and '\(directory)' has an engine for "
        + "\(engines.map(\.description).joined(separator: ", ")); build one with 'make engine PYTHON=python\(version)', or "
        + "make the environment anew"
    }
  }
}
