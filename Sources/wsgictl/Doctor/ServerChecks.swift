import Glibc

/// httpd around the applications: its limits, its files, the process that runs.
struct ServerChecks {
  private let server: ConfigurationTest.Values
  private let groups: [ConfigurationTest.Values]

  init(_ server: ConfigurationTest.Values, _ groups: [ConfigurationTest.Values]) {
    (self.server, self.groups) = (server, groups)
  }

  /// The files that httpd and the virtual hosts log to.
  var logs: [String] { server.filter { $0.key.hasPrefix("log-") }.sorted { $0.key < $1.key }.map(\.value) }

  func run() -> [Finding] {
    let pid = runningProcess
    return [running(pid), threads, descriptors(pid)] + directories + image(pid)
  }

  private func number(_ values: ConfigurationTest.Values, _ name: String) -> Int { values[name].flatMap { Int($0) } ?? 0 }

  // MARK: the process

  private var runningProcess: pid_t? {
    let text = server["pid-file"].flatMap { Files.text($0) } ?? ""
    guard let pid = pid_t(text.prefix { $0.isNumber }), pid > 1, kill(pid, 0) == 0 || errno == EPERM else { return nil }
    return pid
  }

  private func running(_ pid: pid_t?) -> Finding {
    .ok("server", pid.map { "it runs, as process \($0)" } ?? "it is stopped (no process as in \(server["pid-file"] ?? "?"))")
  }

  /// A process that has had its module replaced beneath it.
  private func image(_ pid: pid_t?) -> [Finding] {
    guard let maps = pid.flatMap({ Files.kernelText("/proc/\($0)/maps") }),
      maps.split(whereSeparator: \.isNewline).contains(where: { $0.contains("mod_wsgi.so") && $0.hasSuffix("(deleted)") })
    else { return [] }
    return [.warn("server", "it runs a mod_wsgi.so that has been replaced since it started", "restart httpd")]
  }

  // MARK: limits

  /// Requests that httpd can pass on, against those that the groups can take.
  private var threads: Finding {
    let perChild = number(server, "threads")
    let all = perChild * number(server, "processes")
    let mpm = "\(all) requests at a time (\(server["mpm"] ?? "?"), \(number(server, "processes")) × \(perChild))"
    let sizes = groups.filter { $0["template"] == nil }.map { number($0, "processes") * number($0, "threads") }
    let wanted = sizes.reduce(0, +)
    guard wanted > all - all / 8 else {
      return .ok("limits", "httpd takes \(mpm), and the process groups have \(wanted) threads")
    }
    return .warn(
      "limits", "httpd takes \(mpm), which keeps threads of the process groups idle: they have \(wanted)",
      "raise MaxRequestWorkers to \(wanted + wanted / 4) or more (ServerLimit, ThreadsPerChild), or lower processes= or threads=")
  }

  private func descriptors(_ pid: pid_t?) -> Finding {
    // A connection, a request's channel on both sides and a file for each thread; a queue, pipes and watches for each process.
    let processes = groups.map { number($0, "processes") }.reduce(0, +)
    let needed = max(number(server, "threads") * 4, processes * 8) + groups.count * 4 + 64
    let limits = Files.kernelText("/proc/\(pid.map { "\($0)" } ?? "self")/limits") ?? ""
    let line = limits.split(whereSeparator: \.isNewline).first { $0.hasPrefix("Max open files") }
    let words = line?.split(separator: " ") ?? []
    guard words.count > 3, let limit = Int(words[3]) else { return .ok("limits", "open files: no limit") }
    let whose = pid == nil ? "this shell's" : "the server's"
    guard limit < needed else { return .ok("limits", "\(whose) limit of open files is \(limit), and \(needed) are enough") }
    return .warn(
      "limits", "\(whose) limit of open files is \(limit), and up to \(needed) may be open at a time",
      "set LimitNOFILE=\(needed * 2) in httpd's systemd unit, or ulimit -n where it is started")
  }

  // MARK: directories

  private var directories: [Finding] {
    var found: [Finding] = []
    var places = logs.map { ("log", Files.parent($0)) }
    if let runtime = server["runtime"] { places.append(("runtime", Files.absolute(runtime))) }
    if let temporary = Variables.value("TMPDIR") ?? Optional("/tmp") { places.append(("temporary files", temporary)) }
    var seen: Set<String> = []
    for (check, path) in places where seen.insert(path).inserted { found.append(directory(check, path)) }
    for path in logs where !Files.isFile(path) && Files.isDirectory(path) {
      found.append(.fail("log", "\(path) is a directory", "let ErrorLog name a file"))
    }
    return found
  }

  private func directory(_ check: String, _ path: String) -> Finding {
    guard Files.isDirectory(path) else {
      return .fail(check, "the directory \(path) does not exist", "mkdir -p \(path)")
    }
    var about = statvfs()
    guard statvfs(path, &about) == 0, about.f_blocks > 0 else { return .ok(check, "the directory \(path) is there") }
    let free = (UInt64(about.f_bavail) &* UInt64(about.f_frsize)) >> 20
    let isFull = about.f_bavail == 0 || about.f_files > 0 && about.f_favail == 0
    if isFull { return .fail(check, "the file system of \(path) is full: nothing is logged there", "make room: du -x \(path)") }
    if free < 64 { return .warn(check, "the file system of \(path) has \(free) MB left", "make room: du -x \(path)") }
    return .ok(check, "the directory \(path) is there, with room")
  }
}
