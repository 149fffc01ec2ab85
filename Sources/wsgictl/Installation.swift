import CInstallation
import Glibc
import ProcessSupervision
import WSGICore

/// The files of mod_wsgi: beside this command, as the build leaves them, or in httpd's directory of modules.
struct Installation {
  let directory: String
  let engines: InstalledEngines
  let hasModule: Bool

  init(in directory: String) {
    self.directory = directory
    engines = InstalledEngines(
      in: directory, preferred: PythonVersion(String(cString: wsgi_installation_python())))
    hasModule = access(directory + "/mod_wsgi.so", R_OK) == 0
  }

  static var found: Installation {
    if let program = realpath("/proc/self/exe", nil) {
      defer { free(program) }
      let parts = String(cString: program).split(separator: "/").dropLast()
      let beside = Installation(in: "/" + parts.joined(separator: "/"))
      if beside.hasModule { return beside }
    }
    return Installation(in: String(cString: wsgi_installation_modules()))
  }
}
