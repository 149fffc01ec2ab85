import WSGICore

// Which Python: environments, versions and engines.

extension Diagnostics {
  mutating func checkPython() {
    checkImages()
    if let home = global.engine.pythonHome.map({ ByteText($0) }) {
      let place = global.pythonHomeLocation.map { " (\($0))" } ?? ""
      checkHome(home, "WSGIPythonHome\(place)", at: home, embeddedCredentials, 0)
    }
    for group in configuration.groups where group.template == nil {
      let credentials = credentials(of: group)
      if let home = group.settings.engine.pythonHome.map({ ByteText($0) }) {
        checkHome(home, "The python-home= of the \(group.title)", at: inRoot(home, group), credentials, group.server.id)
      }
      if let python = group.settings.engine.python { checkInterpreter(ByteText(python), group, credentials) }
    }
  }

  /// WSGI0630: no program for daemon processes. WSGI0631: no engine for any Python.
  private mutating func checkImages() {
    if !configuration.groups.isEmpty, let problem = system.workerProblem {
      warn(630, "No process group can be started: \(problem).")
    }
    if let directory = system.missingEngines, !configuration.groups.isEmpty || configuration.expectsEmbedded {
      warn(
        631,
        "No application can run: there is no wsgi-engine-3.X.so in '\(directory)'. Run `make engine PYTHON=/usr/bin/python3` "
          + "and `make install`.")
    }
  }

  /// WSGI0310: no environment is there. WSGI0311: one is, and no engine speaks its version.
  private mutating func checkHome(
    _ home: ByteText, _ what: String, at path: ByteText, _ credentials: FileCredentials?, _ server: UInt
  ) {
    // `prefix:exec_prefix` is two directories, of which the first decides.
    let directory = path.split(Ascii.colon).first ?? path
    guard directory.bytes.first == Ascii.slash else {
      warn(310, server: server, "\(what) is \(home), which is not an absolute path. Use the directory of an environment.")
      return
    }
    if let obstacle = system.obstacle(to: directory, for: credentials, isPassed: true) {
      warn(310, server: server, "\(what) is \(home), but \(obstacle.text(for: credentials)).")
      return
    }
    guard case .found(let isDirectory, _, _, _) = system.file(directory, credentials) else { return }
    guard isDirectory else {
      warn(310, server: server, "\(what) is \(home), which is not a directory. Set it to the parent of its bin directory.")
      return
    }
    let configuration = ByteText(directory.bytes + "/pyvenv.cfg".utf8)
    if let obstacle = system.obstacle(to: configuration, for: credentials), case .denied = obstacle {
      warn(310, server: server, "\(what) is \(home), but \(obstacle.text(for: credentials)).")
    } else if let version = environmentVersion(directory, credentials) {
      checkEngine(version, of: "\(what) is an environment of Python \(version)", python: "\(directory)/bin/python", server)
    } else if !isInstallation(directory, credentials) {
      warn(
        310, server: server,
        "\(what) is \(home), which is not a Python environment: it has neither pyvenv.cfg nor lib/python3.*. "
          + "Run `python3 -m venv \(directory)` to create one.")
    }
  }

  private mutating func checkInterpreter(_ python: ByteText, _ group: GroupConfig, _ credentials: FileCredentials?) {
    let what = "The python= of the \(group.title)"
    if let obstacle = system.obstacle(to: inRoot(python, group), for: credentials) {
      warn(310, server: group.server.id, "\(what) is \(python), but \(obstacle.text(for: credentials)).")
    } else if let version = PythonVersion(interpreter: python.description) {
      checkEngine(version, of: "\(what) is Python \(version)", python: python.description, group.server.id)
    }
  }

  private mutating func checkEngine(_ version: PythonVersion, of what: String, python: String, _ server: UInt) {
    guard !system.hasEngine(version.description) else { return }
    warn(
      311, server: server,
      "\(what), for which no engine is installed. Run `make PYTHON=\(python) engine install` to build wsgi-engine-\(version).so.")
  }

  /// The version that a virtual environment's pyvenv.cfg says.
  private func environmentVersion(_ directory: ByteText, _ credentials: FileCredentials?) -> PythonVersion? {
    let content = system.content(ByteText(directory.bytes + "/pyvenv.cfg".utf8), credentials)
    return content.flatMap { PythonEnvironment(String(decoding: $0, as: UTF8.self)).version }
  }

  /// An installation has its library below `lib`, for one of the versions that exist.
  private func isInstallation(_ directory: ByteText, _ credentials: FileCredentials?) -> Bool {
    (6...30).contains { minor in
      let library = ByteText(directory.bytes + "/lib/python3.\(minor)".utf8)
      if case .found(true, _, _, _) = system.file(library, credentials) { return true }
      return false
    }
  }
}
