import Glibc
import Platform

/// httpd as long as this command runs, with the command's signals passed on in httpd's own words.
struct ForegroundServer {
  let httpd: String
  let configuration: String
  let pidFile: String

  private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGUSR1, SIGCHLD]

  /// Returns when it has been told to end. `announce`: it serves.
  func run(announce: () -> Void) throws(CommandFailure) {
    var set = sigset_t()
    sigemptyset(&set)
    for number in Self.signals { sigaddset(&set, number) }
    sigprocmask(SIG_BLOCK, &set, nil)
    unlink(pidFile)
    let program = Program(path: httpd, arguments: ["-f", configuration, "-D", "FOREGROUND"], isServer: true)
    let null = Descriptor(owning: open("/dev/null", O_RDONLY | O_CLOEXEC))
    let pid = try program.start([null.number, 1, 2])
    var isAnnounced = false
    var hasBeenTold = false
    while true {
      if !isAnnounced, isServing {
        isAnnounced = true
        announce()
      }
      var status: Int32 = 0
      if systemCall({ waitpid(pid, &status, WNOHANG) }) == pid {
        guard hasBeenTold, !isAnnounced || Program.exitStatus(status) == 0 else { throw Self.ended(status, isAnnounced) }
        return
      }
      guard let signal = Self.next(in: &set, milliseconds: isAnnounced ? 1_000 : 10) else { continue }
      // Once drained is enough: who asks again means it.
      guard var passed = Self.meaning(of: signal, drains: hasBeenTold) else { continue }
      if !isAnnounced {
        // The others would end it, or be lost; it reads its configuration at the moment, and has nothing to drain.
        guard passed != SIGUSR1 else { continue }
        passed = SIGTERM
      }
      if passed != SIGUSR1 { hasBeenTold = true }
      kill(pid, passed)
    }
  }

  /// Whether httpd has come to where it serves, and has handlers for its signals.
  private var isServing: Bool {
    guard let pid = Files.text(pidFile).flatMap({ Int32($0.filter { !$0.isWhitespace }) }) else { return false }
    // Without /proc, that it has written its pid file has to do.
    guard let status = Files.kernelText("/proc/\(pid)/status") else { return !Files.isDirectory("/proc/self") }
    guard let caught = status.split(separator: "\n").first(where: { $0.hasPrefix("SigCgt:") })?.split(separator: "\t").last,
      let mask = UInt64(caught, radix: 16)
    else { return false }
    return [SIGTERM, SIGWINCH].allSatisfy { mask >> UInt64($0 - 1) & 1 == 1 }
  }

  private static func ended(_ status: Int32, _ hasServed: Bool) -> CommandFailure {
    let how = Program.exitStatus(status).map { "with status \($0)" } ?? "by signal \(status & 0x7F)"
    return CommandFailure(.failed, "httpd ended \(how)\(hasServed ? "" : " before it served"); the lines above say why")
  }

  private static func next(in set: inout sigset_t, milliseconds: Int) -> siginfo_t? {
    var info = siginfo_t()
    var time = timespec(tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
    return sigtimedwait(&set, &info, &time) > 0 ? info : nil
  }

  /// The signal for httpd; nil: none.
  private static func meaning(of info: siginfo_t, drains: Bool) -> Int32? {
    switch info.si_signo {
    case SIGINT, SIGHUP: SIGTERM
    case SIGTERM: drains ? SIGTERM : SIGWINCH
    // A terminal's new size comes from the kernel, and means nothing here.
    case SIGWINCH: info.si_code <= 0 ? SIGWINCH : nil
    case SIGUSR1: SIGUSR1
    default: nil
    }
  }
}
