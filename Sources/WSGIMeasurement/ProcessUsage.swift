import Glibc

/// Processor time of a thread or of the process, in nanoseconds.
///
/// The sum is what the scheduler measured. The kernel may tell user from system time by sampling alone, so that the parts of
/// a short time are approximate.
public struct ProcessorTime: Sendable {
  public var user: UInt64 = 0
  public var system: UInt64 = 0
  public var total: UInt64 { user &+ system }

  /// The calling thread's; nil where the kernel does not say.
  static func thread() -> ProcessorTime? { ProcessorTime(RUSAGE_THREAD) }
  /// The process's.
  public static func process() -> ProcessorTime { ProcessorTime(RUSAGE_SELF) ?? ProcessorTime() }

  func since(_ earlier: ProcessorTime) -> ProcessorTime {
    ProcessorTime(user: user &- min(user, earlier.user), system: system &- min(system, earlier.system))
  }
}

extension ProcessorTime {
  private init?(_ who: __rusage_who) {
    var usage = rusage()
    guard getrusage(who, &usage) == 0 else { return nil }
    func nanoseconds(_ time: timeval) -> UInt64 {
      UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_usec) &* 1000
    }
    self.init(user: nanoseconds(usage.ru_utime), system: nanoseconds(usage.ru_stime))
  }
}
