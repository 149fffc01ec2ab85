import Glibc

/// The machine around httpd: packages that are in the way, and refusals of security modules.
enum SystemChecks {
  /// Debian's package owns the same files.
  static func packages(in database: String = "/var/lib/dpkg/info") -> [Finding] {
    guard Files.isFile(database + "/libapache2-mod-wsgi-py3.list") else { return [] }
    return [
      .warn(
        "package",
        "Debian's libapache2-mod-wsgi-py3 is installed: an upgrade or removal of it replaces or deletes this mod_wsgi.so",
        "apt-get purge libapache2-mod-wsgi-py3, then install this one again")
    ]
  }

  static func denials() -> [Finding] {
    var found = refusals(in: kernelLog(), "AppArmor", mark: "apparmor=\"DENIED\"")
    found += refusals(in: tail("/var/log/audit/audit.log"), "SELinux", mark: "avc:  denied")
    if found.isEmpty {
      let names = [
        Files.kernelText("/sys/module/apparmor/parameters/enabled")?.hasPrefix("Y") == true ? "AppArmor" : nil,
        Files.kernelText("/sys/fs/selinux/enforce")?.hasPrefix("1") == true ? "SELinux" : nil,
      ].compactMap { $0 }
      let which =
        names.isEmpty ? "neither AppArmor nor SELinux is in force" : "\(names.joined(separator: ", ")): no refusal is known"
      found.append(.ok("security", which))
    }
    return found
  }

  /// Lines about httpd's processes and ours, each kind once.
  static func refusals(in text: String, _ module: String, mark: String) -> [Finding] {
    var seen: Set<String> = []
    var found: [Finding] = []
    for line in text.split(whereSeparator: \.isNewline) where line.contains(mark) {
      let ours = ["apache2", "httpd", "wsgi-worker", "wsgi-supervisor"].contains { line.contains("comm=\"\($0)") }
      let name = word(line, "name=") ?? word(line, "path=") ?? "?"
      guard ours, seen.insert(name).inserted, found.count < 10 else { continue }
      let remedy =
        module == "AppArmor"
        ? "allow it in the profile that the kernel's log names, and reload that (apparmor_parser -r)"
        : "label it (semanage fcontext, restorecon), or allow it (audit2allow); ausearch -m avc has all of it"
      found.append(.fail("security", "\(module) has refused \(word(line, "comm=") ?? "?") the access to \(name)", remedy))
    }
    return found
  }

  private static func word(_ line: Substring, _ name: String) -> String? {
    for part in line.split(separator: " ") where part.hasPrefix(name) {
      return String(part.dropFirst(name.count).filter { $0 != "\"" })
    }
    return nil
  }

  /// Refusals in the kernel's buffer, for those who may see it.
  private static func kernelLog() -> String {
    let descriptor = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var text = ""
    var buffer = [UInt8](repeating: 0, count: 8192)
    // A record at a time; the kernel has some megabytes of them.
    for _ in 0..<100_000 {
      let count = read(descriptor, &buffer, buffer.count)
      guard count > 0 || errno == EPIPE else { break }
      let record = String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
      if record.contains("DENIED") { text += record }
    }
    return text
  }

  /// The end of a file.
  static func tail(_ path: String, most: Int = 262_144) -> String {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var about = stat()
    guard fstat(descriptor, &about) == 0, about.st_mode & S_IFMT == S_IFREG else { return "" }
    var buffer = [UInt8](repeating: 0, count: most)
    let count = pread(descriptor, &buffer, most, max(0, about.st_size - off_t(most)))
    return String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
  }
}
