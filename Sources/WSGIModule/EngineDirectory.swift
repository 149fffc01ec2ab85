import CHTTPD
import Glibc
import WSGICore

/// The directory that mod_wsgi.so was loaded from: its engines and its worker are beside it.
enum EngineDirectory {
  /// nil where the image cannot tell where it was loaded from.
  static var path: String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
      guard let base = buffer.baseAddress, wsgi_httpd_image_directory(base, buffer.count) > 0 else { return nil }
      return String(cString: base)
    }
  }

  /// The Python that mod_wsgi was built for.
  static var preferredVersion: PythonVersion? { PythonVersion(String(cString: wsgi_httpd_default_python())) }

  /// The file of the engine for an embedded Python with this home, or why there is none.
  static func engine(home: String?) throws(EngineChoiceFailure) -> String {
    let directory = path ?? "?"
    let version = try EngineChoice.version(
      home: home.map(inspect), engines: engines(), preferred: preferredVersion, directory: directory)
    return "\(directory)/wsgi-engine-\(version).so"
  }

  /// The versions that there are engines for.
  static func engines() -> [PythonVersion] {
    path.map { versions(in: $0, prefix: "wsgi-engine-", suffix: ".so") } ?? []
  }

  /// Looks at a Python home.
  static func inspect(_ path: String) -> PythonHome {
    var about = stat()
    let isDirectory = stat(path, &about) == 0 && about.st_mode & S_IFMT == S_IFDIR
    return PythonHome(
      path: path, isDirectory: isDirectory, environment: isDirectory ? text(of: path + "/pyvenv.cfg") : nil,
      installed: isDirectory ? versions(in: path + "/lib", prefix: "python", suffix: "") : [])
  }

  /// The versions in the names of a directory's entries.
  private static func versions(in directory: String, prefix: String, suffix: String) -> [PythonVersion] {
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

  /// A small regular file's text.
  static func text(of path: String) -> String? {
    // Not to wait for a writer where someone has put a pipe there.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var about = stat()
    guard fstat(descriptor, &about) == 0, about.st_mode & S_IFMT == S_IFREG else { return nil }
    return withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 1) { buffer in
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
    }
  }
}
