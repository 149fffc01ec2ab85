import CPosix
import Glibc
import WSGICore

/// A worker's first act: it takes its limits, gives up root, and proves that it did.
public enum Privileges {
  /// Why the process must not go on.
  struct Failure: Error {
    var exit: WorkerExit
    var sentence: String

    init(_ exit: WorkerExit, _ what: String, error: Int32 = 0) {
      self.exit = exit
      sentence = error == 0 ? what : "\(what): \(String(cString: strerror(error)))"
    }
  }

  /// Makes the process what `settings` says, before it starts a thread or runs anything of the application. A failure is
  /// reported on `control`, and the process exits. What could not be had but does no harm is returned, in sentences for the log
  /// that begin with their number.
  ///
  /// In order: descriptors, control group, limits, priority, groups, user, the proof, capabilities, privileges to come,
  /// dumpability, root directory, umask, working directory.
  /// - beforeRoot: where the root directory changes, this is done just before, for files that are not to be found afterwards:
  ///   by the user, who has nothing of root left but the right to change the root directory, in the new root directory.
  public static func drop(
    _ settings: WorkerSettings, control: ControlChannel = .ofWorker, beforeRoot: () -> Void = {}
  ) -> [String] {
    do throws(Failure) {
      return try attempt(settings, beforeRoot)
    } catch {
      control.tell(.startFailed(error.sentence))
      _exit(error.exit.rawValue)
    }
  }

  private static func attempt(_ settings: WorkerSettings, _ beforeRoot: () -> Void) throws(Failure) -> [String] {
    wsgi_posix_close_from(WSGI_POSIX_LAST_DESCRIPTOR &+ 1)
    // Programs that the process executes have no use for what leads to httpd.
    for number in 3...WSGI_POSIX_LAST_DESCRIPTOR { _ = wsgi_posix_close_on_exec(number) }
    signal(SIGPIPE, SIG_IGN)
    var warnings: [String] = []
    if let path = settings.controlGroup { join(path, &warnings) }
    limit(settings, &warnings)
    let root = settings.changeRoot.map { NewRoot($0) }
    if let credentials = settings.credentials {
      try become(credentials, keepsBounds: settings.allowsNewPrivileges, changesRoot: root != nil)
    }
    try renounce(settings, changesRoot: root != nil)
    if let root {
      try root.enter()
      beforeRoot()
      // What was loaded may have changed the working directory.
      try root.enter()
      try root.makeRoot()
      try renounce(settings, changesRoot: false)
    }
    if let mask = settings.umask { umask(mask & 0o777) }
    try changeDirectory(settings.directory, &warnings)
    return warnings
  }

  private static func join(_ path: [UInt8], _ warnings: inout [String]) {
    do throws(ControlGroup.Failure) {
      try ControlGroup(path).join()
    } catch {
      warnings.append(
        "WSGI0704: Unable to join the control group \(shown(path)): \(error.reason). The process runs without its limits.")
    }
  }

  private static func limit(_ settings: WorkerSettings, _ warnings: inout [String]) {
    func take(_ number: String, _ what: String, _ result: Int32) {
      if result < 0 { warnings.append("\(number): Unable to set \(what): \(String(cString: strerror(-result))).") }
    }
    if settings.cpuTimeLimit > 0 {
      // The signal of the soft limit starts a shutdown; the kernel kills a process that does not get it done.
      let seconds = settings.cpuTimeLimit
      take(
        "WSGI0076", "a CPU time limit of \(seconds) seconds",
        wsgi_posix_set_limit(Int32(WSGI_LIMIT_CPU), seconds, settings.hardCPULimit))
    }
    if settings.memoryLimit > 0 {
      let bytes = settings.memoryLimit
      take("WSGI0077", "a memory limit of \(bytes) bytes", wsgi_posix_set_limit(Int32(WSGI_LIMIT_DATA), bytes, bytes))
    }
    if settings.virtualMemoryLimit > 0 {
      let bytes = settings.virtualMemoryLimit
      take(
        "WSGI0078", "a virtual memory limit of \(bytes) bytes",
        wsgi_posix_set_limit(Int32(WSGI_LIMIT_ADDRESS_SPACE), bytes, bytes))
    }
    if settings.processLimit > 0 {
      let count = UInt64(settings.processLimit)
      take("WSGI0701", "a limit of \(count) processes", wsgi_posix_set_limit(Int32(WSGI_LIMIT_PROCESSES), count, count))
    }
    if settings.cpuPriority != 0 {
      take("WSGI0075", "a CPU priority of \(settings.cpuPriority)", wsgi_posix_set_priority(settings.cpuPriority))
    }
  }

  /// keepsBounds: programs that the process executes may have capabilities, which itself it has not.
  /// changesRoot: of its own capabilities that to change the root directory stays.
  private static func become(
    _ credentials: WorkerSettings.Credentials, keepsBounds: Bool, changesRoot: Bool
  ) throws(Failure) {
    let (user, group) = (credentials.user, credentials.group)
    guard user != 0 else { throw Failure(.setUser, "a worker does not run as root") }
    if !keepsBounds { try check(wsgi_posix_drop_bounding_set(), .capabilities, "prctl(PR_CAPBSET_DROP)") }
    try check(wsgi_posix_set_gid(group), .setGroup, "setresgid(\(group))")
    let groups = [group] + credentials.supplementaryGroups.filter { $0 != group }
    try check(wsgi_posix_set_groups(groups, groups.count), .setGroups, "setgroups of \(groups.count)")
    if changesRoot { try check(wsgi_posix_keep_capabilities(1), .capabilities, "prctl(PR_SET_KEEPCAPS)") }
    try check(wsgi_posix_set_uid(user), .setUser, "setresuid(\(user))")
    if changesRoot {
      try check(wsgi_posix_limit_capabilities(1), .capabilities, "capset")
      try check(wsgi_posix_keep_capabilities(0), .capabilities, "prctl(PR_SET_KEEPCAPS)")
    }
    guard wsgi_posix_is_identity(user, group) == 1 else {
      throw Failure(.verification, "getresuid and getresgid are not \(user) and \(group)")
    }
    guard Set(currentGroups()) == Set(groups) else { throw Failure(.verification, "getgroups is not \(groups)") }
    // Nothing of root is left to return to.
    guard setuid(0) != 0 else { throw Failure(.verification, "setuid(0) still succeeds") }
  }

  private static func renounce(_ settings: WorkerSettings, changesRoot: Bool) throws(Failure) {
    try check(wsgi_posix_limit_capabilities(changesRoot ? 1 : 0), .capabilities, "capset")
    guard wsgi_posix_has_capabilities(changesRoot ? 1 : 0) == 0 else { throw Failure(.capabilities, "capget still reports some") }
    if !settings.allowsNewPrivileges { try check(wsgi_posix_no_new_privileges(), .privileges, "prctl(PR_SET_NO_NEW_PRIVS)") }
    try check(wsgi_posix_set_dumpable(settings.allowsCoreDumps ? 1 : 0), .privileges, "prctl(PR_SET_DUMPABLE)")
  }

  /// A system call, whose result is a negated errno value where it fails, must succeed.
  private static func check(_ result: Int32, _ exit: WorkerExit, _ call: String) throws(Failure) {
    if result < 0 { throw Failure(exit, call, error: -result) }
  }

  private static func changeDirectory(_ path: [UInt8]?, _ warnings: inout [String]) throws(Failure) {
    if let path {
      let result = withCPath(path) { chdir($0) == 0 ? 0 : errno }
      if result == 0 { return }
      warnings.append(
        "WSGI0450: Unable to change working directory to '\(shown(path))': \(String(cString: strerror(result))). The process"
          + " starts in '/'; give the process group a home= that its user can enter.")
    }
    if chdir("/") != 0 { throw Failure(.directory, "chdir(/)", error: errno) }
  }

  private static func currentGroups() -> [gid_t] {
    let count = getgroups(0, nil)
    guard count > 0 else { return [] }
    var groups = [gid_t](repeating: 0, count: Int(count))
    let got = getgroups(count, &groups)
    return Array(groups.prefix(Int(max(got, 0))))
  }

  fileprivate static func withCPath<R>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
    body(path.map { CChar(bitPattern: $0) } + [0])
  }

  fileprivate static func shown(_ path: [UInt8]) -> String { String(decoding: path, as: UTF8.self) }
}

/// The directory that becomes a process's root. Its name is followed by root only as far as no other user can change it,
/// and from there on by the user of the process, which directories above it that the user may not pass do not hinder.
private struct NewRoot {
  private let path: [UInt8]
  /// A directory on the way, or the current one.
  private var base: Int32
  private var rest: [UInt8]

  /// By root.
  init(_ path: [UInt8]) {
    self.path = path
    base = wsgi_posix_directory(AT_FDCWD, "/", 0)
    rest = path
    while base >= 0, wsgi_posix_is_roots(base) == 1 {
      let name = rest.drop { $0 == 0x2F }.prefix { $0 != 0x2F }
      guard !name.isEmpty else { break }
      let next = Privileges.withCPath([UInt8](name)) { wsgi_posix_directory(base, $0, 0) }
      guard next >= 0 else { break }
      close(base)
      base = next
      rest = [UInt8](rest.drop { $0 == 0x2F }.dropFirst(name.count))
    }
  }

  /// By the user.
  func enter() throws(Privileges.Failure) {
    let name = [UInt8](rest.drop { $0 == 0x2F })
    let directory = Privileges.withCPath(name.isEmpty ? [0x2E] : name) { wsgi_posix_directory(base, $0, 1) }
    let result = directory < 0 ? -directory : fchdir(directory) == 0 ? 0 : errno
    if directory >= 0 { close(directory) }
    if result != 0 { throw failure(result) }
  }

  func makeRoot() throws(Privileges.Failure) {
    if chroot(".") != 0 { throw failure(errno) }
    close(base)
    if chdir("/") != 0 { throw failure(errno) }
  }

  private func failure(_ error: Int32) -> Privileges.Failure {
    Privileges.Failure(.changeRoot, "chroot(\(Privileges.shown(path)))", error: error)
  }
}
