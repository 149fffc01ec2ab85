import CPosix
import Glibc
import Platform
import WSGICore

/// A process beside each worker that reads what the worker writes, and passes it on to the supervisor.
///
/// Programs open `/dev/stderr`, which only a pipe or a file allows, and a pipe is locked while a process copies into it: a writer
/// that is made to wait there for ever, for a page of a file system of its own, keeps every reader waiting too, past any signal.
/// Over a socket, on the other hand, descriptors can be passed, and to close what a tenant has chosen may take as long. So the
/// one that reads is an expendable process: it has no privileges, knows nothing, and serves one worker. The supervisor has
/// sockets whose other ends no worker holds.
///
/// It ends when its worker and all who inherited the output have, or when its reader has ended.
public enum Relay {
  static let processName = "wsgi-relay"

  // What it finds open, beside three times `/dev/null`.
  private static let reports: Int32 = 3
  private static let output: Int32 = 4
  private static let supervisorReports: Int32 = 5
  private static let supervisorOutput: Int32 = 6

  /// So much of the output is passed on at a time, and before the supervisor is told that nothing is left.
  private static let share = 16_384
  private static let mostOutput = 1 << 20
  private static let mostReports = 256

  private static let option = "--relay"

  /// Whether this process was started to be one.
  public static var isThisProcess: Bool { CommandLine.arguments.count == 4 && CommandLine.arguments[1] == option }

  /// The process group, for readers of a list of processes; then the ids to use if the system has no user "nobody".
  static func arguments(_ group: GroupPlan) -> [[UInt8]] {
    let ids = group.settings.credentials.map { "\($0.user):\($0.group)" } ?? ""
    return [processName, option, group.name, ids].map { Array($0.utf8) }
  }

  static func descriptors(reports: Int32, output: Int32, toSupervisor: (reports: Int32, output: Int32), null: Int32) -> [Int32] {
    [null, null, null, reports, output, toSupervisor.reports, toSupervisor.output, null, null, null]
  }

  public static func run() -> Never {
    wsgi_posix_set_name(processName)
    wsgi_posix_close_from(supervisorOutput &+ 1)
    guard becomeNobody() else { _exit(WorkerExit.setUser.rawValue) }
    var hasReports = true
    var hasOutput = true
    while hasReports || hasOutput {
      var entries = [
        pollfd(fd: hasReports ? reports : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: hasOutput ? output : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: hasReports ? supervisorReports : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: hasOutput ? supervisorOutput : -1, events: 0, revents: 0),
      ]
      guard poll(&entries, nfds_t(entries.count), -1) > 0 else { continue }
      if entries[2].revents != 0 { hasReports = answer() }
      if entries[3].revents != 0 { hasOutput = false }
      if hasOutput, entries[1].revents != 0 { hasOutput = passOutput() != .ended }
      if hasReports, entries[0].revents != 0, passReport() == .ended {
        // The worker has ended: what it wrote before comes before the end of its reports.
        if hasOutput { hasOutput = passAllOutput() }
        hasReports = false
      }
      if !hasReports { closeBoth(reports, supervisorReports) }
      if !hasOutput { closeBoth(output, supervisorOutput) }
    }
    _exit(0)
  }

  private static func closeBoth(_ first: Int32, _ second: Int32) {
    // The socket first: to close the pipe may take for ever.
    close(second)
    close(first)
  }

  /// An id that owns nothing, else the worker's own. No worker of the same user can look into this process.
  static func becomeNobody() -> Bool {
    wsgi_posix_default_signals()
    signal(SIGPIPE, SIG_IGN)
    if geteuid() == 0 {
      let own = (CommandLine.arguments.last ?? "").split(separator: ":").compactMap { UInt32($0) }
      let choices = [[65534, 65534], own].filter { $0.count == 2 }
      guard wsgi_posix_set_groups([], 0) == 0,
        choices.contains(where: { wsgi_posix_set_gid($0[1]) == 0 && wsgi_posix_set_uid($0[0]) == 0 }), geteuid() != 0
      else { return false }
    }
    return wsgi_posix_limit_capabilities(0) == 0 && wsgi_posix_no_new_privileges() == 0 && wsgi_posix_set_dumpable(0) == 0
  }

  private enum Passed {
    case something
    case nothing
    /// All writers, or the reader, have closed their ends.
    case ended
  }

  /// The supervisor asks to be told when everything that has been written so far is passed on. False: it has gone.
  private static func answer() -> Bool {
    var byte: UInt8 = 0
    let count = systemCall { recv(supervisorReports, &byte, 1, Int32(MSG_DONTWAIT)) }
    if count == -Int(EAGAIN) { return true }
    guard count > 0 else { return false }
    _ = passAllOutput()
    for _ in 0..<mostReports {
      switch passReport() {
      case .something: continue
      case .ended: return false
      case .nothing: return ControlChannel(socket: supervisorReports).send(.passedOn)
      }
    }
    return ControlChannel(socket: supervisorReports).send(.passedOn)
  }

  private static func passReport() -> Passed {
    withUnsafeTemporaryAllocation(byteCount: ControlMessage.limit, alignment: 8) { buffer in
      let count = systemCall { read(reports, buffer.baseAddress, buffer.count) }
      if count == -Int(EAGAIN) { return .nothing }
      guard count > 0 else { return .ended }
      return send(supervisorReports, buffer.baseAddress, count)
    }
  }

  /// False: all writers have closed their ends.
  private static func passAllOutput() -> Bool {
    var left = mostOutput
    while left > 0 {
      switch passOutput() {
      case .something: left = left &- share
      case .nothing: return true
      case .ended: return false
      }
    }
    return true
  }

  private static func passOutput() -> Passed {
    withUnsafeTemporaryAllocation(byteCount: share, alignment: 8) { buffer in
      let count = systemCall { read(output, buffer.baseAddress, buffer.count) }
      if count == -Int(EAGAIN) { return .nothing }
      guard count > 0 else { return .ended }
      return send(supervisorOutput, buffer.baseAddress, count)
    }
  }

  /// Waits for room.
  private static func send(_ socket: Int32, _ bytes: UnsafeMutableRawPointer?, _ count: Int) -> Passed {
    var part = iovec(iov_base: bytes, iov_len: count)
    while part.iov_len > 0 {
      let sent = wsgi_posix_send(socket, &part, 1, nil, 0, 0)
      guard sent > 0 else { return .ended }
      part.iov_base = part.iov_base.map { $0 + sent }
      part.iov_len = part.iov_len &- sent
    }
    return .something
  }
}
