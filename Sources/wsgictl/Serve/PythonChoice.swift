import Glibc
import ProcessSupervision
import WSGICore

/// The Python that an application runs on.
struct PythonChoice {
  /// A virtual environment, or an installation; nil: the Python that the module was built for.
  let home: String?
  let version: PythonVersion

  /// The interpreter, for questions; nil: there is none.
  var program: String? {
    if let home { return ["python3", "python"].map { home + "/bin/" + $0 }.first { access($0, X_OK) == 0 } }
    return Program.python(version.description)
  }

  var title: String {
    home.map { "\(version), of \($0)" } ?? "\(version), without a virtual environment (--venv DIR chooses one)"
  }

  /// The engine for `home`.
  init(home: String?, _ installation: Installation) throws(CommandFailure) {
    self.home = home
    do throws(EngineChoiceFailure) {
      version = try installation.engines.version(python: nil, home: home)
    } catch {
      throw CommandFailure(.failed, error.description)
    }
    guard let home, Files.isFile(home + "/pyvenv.cfg"), program == nil else { return }
    let python = home + "/bin/python3"
    let base = PythonEnvironment(Files.text(home + "/pyvenv.cfg") ?? "").base ?? "?"
    throw CommandFailure(
      .failed,
      "the virtual environment \(home) has no interpreter: \(python) is missing, or leads to a Python that was removed"
        + " from \(base); make it again with 'python3 -m venv --clear \(home)'")
  }

  // MARK: which one

  /// The environment of a project: `--venv`, the one that is active, uv's, and those in its directories.
  static func home(_ option: String?, _ directories: [String]) throws(CommandFailure) -> String? {
    if let option {
      let path = Files.absolute(option)
      return Files.name(path) == "bin" ? Files.parent(path) : path
    }
    if let active = Variables.value("VIRTUAL_ENV") {
      guard Files.isDirectory(active) else {
        throw CommandFailure(
          .failed, "VIRTUAL_ENV names \(active), which is not a directory: run 'deactivate', or give --venv DIR")
      }
      return Files.absolute(active)
    }
    for directory in directories {
      let names = (Variables.value("UV_PROJECT_ENVIRONMENT").map { [$0] } ?? []) + [".venv", "venv", "env"]
      for path in names.map({ Files.absolute($0, in: directory) }) where Files.isFile(path + "/pyvenv.cfg") { return path }
    }
    return nil
  }

  /// Where an environment has the packages that were installed into it.
  static func packages(of home: String?) -> [String] {
    guard let library = home.map({ $0 + "/lib" }) else { return [] }
    return Files.names(in: library).filter { $0.hasPrefix("python3") }.map { "\(library)/\($0)/site-packages" }
  }
}
