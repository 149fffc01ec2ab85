import CHTTPD
import Glibc
import ProcessSupervision
import WSGICore

/// The directory that mod_wsgi.so was loaded from: its engines and its worker are beside it.
enum EngineDirectory {
  /// nil where the image cannot tell where it was loaded from.
  static var path: String? {
    guard let image = wsgi_httpd_image_path(), let slash = strrchr(image, 0x2F), slash > image else { return nil }
    defer { free(image) }
    return String(decoding: UnsafeRawBufferPointer(start: image, count: slash - image), as: UTF8.self)
  }

  /// The Python that mod_wsgi was built for.
  static var preferredVersion: PythonVersion? { PythonVersion(String(cString: wsgi_httpd_default_python())) }

  static var installed: InstalledEngines { InstalledEngines(in: path ?? "?", preferred: preferredVersion) }

  /// The program of daemon processes.
  static var workerProgram: String { "\(path ?? "?")/wsgi-worker" }

  /// Why that cannot be executed, as the end of a sentence; nil: it can.
  static var workerProblem: String? {
    let program = workerProgram
    guard access(program, X_OK) != 0 else { return nil }
    let error = errno
    let remedy = error == EACCES ? "chmod 755 \(program)" : "install it beside mod_wsgi.so"
    return "'\(program)' cannot be executed: \(String(cString: strerror(error))); \(remedy)"
  }
}
