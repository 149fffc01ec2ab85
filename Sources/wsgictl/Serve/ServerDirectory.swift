import Glibc

/// The directory of a server of one's own: its configuration, its script, and what httpd makes while it runs.
struct ServerDirectory {
  let path: String
  /// Made for this run, and removed after it.
  private let isTemporary: Bool

  /// - hasPages: for httpd, which takes a directory of pages, be it an empty one.
  init(_ chosen: String?, hasPages: Bool = true) throws(CommandFailure) {
    if let chosen {
      path = Files.absolute(chosen)
      isTemporary = false
      guard mkdir(path, 0o755) == 0 || errno == EEXIST, Files.isDirectory(path) else {
        throw CommandFailure(.failed, "cannot make the directory \(path): \(String(cString: strerror(errno)))")
      }
    } else {
      var template = Array(((Variables.value("TMPDIR") ?? "/tmp") + "/wsgictl-XXXXXX").utf8CString)
      guard mkdtemp(&template) != nil else {
        throw CommandFailure(
          .failed,
          "cannot make a directory in \(Variables.value("TMPDIR") ?? "/tmp"): \(String(cString: strerror(errno))); set TMPDIR")
      }
      path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      isTemporary = true
    }
    // Root's server runs as another user, who reads the script here.
    guard !isTemporary || chmod(path, 0o755) == 0, !hasPages || mkdir(path + "/htdocs", 0o755) == 0 || errno == EEXIST else {
      throw CommandFailure(.failed, "cannot make \(path)/htdocs: \(String(cString: strerror(errno)))")
    }
  }

  /// Puts a file of these bytes there.
  func write(_ name: String, _ lines: [String]) throws(CommandFailure) -> String {
    let file = "\(path)/\(name)"
    try Files.write(lines.joined(separator: "\n") + "\n", to: file)
    return file
  }

  /// Copies a file there.
  func copy(_ source: String, mode: mode_t = 0o644) throws(CommandFailure) -> String {
    let target = "\(path)/\(Files.name(source))"
    let (status, text) = try Program(path: "/bin/cp", arguments: ["--", source, target]).output()
    guard status == 0, chmod(target, mode) == 0 else { throw CommandFailure(.failed, "cannot copy \(source): \(text)") }
    return target
  }

  /// A script of root's own that the user cannot reach, as in root's home, is copied; nil: it need not be.
  func copyOfScript(_ target: String?, for identity: Identity) throws(CommandFailure) -> String? {
    guard let path = target.map({ Files.absolute($0) }), path.hasSuffix(".wsgi"), Files.isRootsAlone(path),
      try identity.withRights({ Files.closedDirectory(onTheWayTo: path) }) != nil
    else { return nil }
    return try copy(path)
  }

  func remove() {
    guard isTemporary else { return }
    _ = try? Program(path: "/bin/rm", arguments: ["-rf", "--", path]).output()
  }
}
