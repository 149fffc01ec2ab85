import Glibc
import PythonRuntime
import WSGICore

extension PythonStart {
  /// Has Python start as on the command line of one interpreter, whatever directory httpd was started in: that of `python=`, else
  /// that of `python-home=`, else the one that the engine was built for.
  mutating func choose(python: String?, home: String?) {
    guard let home else {
      program = python ?? Python.program
      return
    }
    // `prefix:exec_prefix` is two directories, of which the first has the interpreter.
    let prefix = home.split(separator: ":", maxSplits: 1).first.map(String.init) ?? home
    guard isRegularFile(prefix + "/pyvenv.cfg") else {
      self.home = home
      program = python ?? interpreter(in: prefix)
      return
    }
    // An environment is found by its own interpreter; another one has chosen the engine alone.
    program = python.flatMap { $0.hasPrefix(prefix + "/") ? $0 : nil } ?? interpreter(in: prefix)
  }

  /// `bin/python3`, unless that is another Python than the one that runs.
  private func interpreter(in prefix: String) -> String {
    let usual = prefix + "/bin/python3"
    guard let version = PythonVersion(interpreter: realPath(usual)), version.description != Python.version else { return usual }
    let versioned = prefix + "/bin/python\(Python.version)"
    return access(versioned, X_OK) == 0 ? versioned : usual
  }

  private func isRegularFile(_ path: String) -> Bool {
    var about = stat()
    return stat(path, &about) == 0 && about.st_mode & S_IFMT == S_IFREG
  }
}

/// The path with symbolic links followed, or as it is where nothing is there.
func realPath(_ path: String) -> String {
  guard let real = realpath(path, nil) else { return path }
  defer { free(real) }
  return String(cString: real)
}
