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

  init() {}

  private init?(_ who: __rusage_who) {
    var usage = rusage()
    guard getrusage(who, &usage) == 0 else { return nil }
    user = ProcessorTime.nanoseconds(usage.ru_utime)
    system = ProcessorTime.nanoseconds(usage.ru_stime)
  }

  private init(user: UInt64, system: UInt64) {
    self.user = user
    self.system = system
  }

  private static func nanoseconds(_ time: timeval) -> UInt64 {
    UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_usec) &* 1000
  }

  func since(_ earlier: ProcessorTime) -> ProcessorTime {
    ProcessorTime(user: user &- min(user, earlier.user), system: system &- min(system, earlier.system))
  }
}

/// How much memory the process has, in bytes.
public struct ProcessMemory: Sendable {
  public let resident: Int
  public let largest: Int

  public static func now() -> ProcessMemory {
    var usage = rusage()
    let largest = getrusage(RUSAGE_SELF, &usage) == 0 ? Int(usage.ru_maxrss) &* 1024 : 0
    // A process in a chroot has no /proc; what it had at most is the best that is known then. The kernel keeps the two counts
    // apart, and brings the larger one up to date now and then.
    let resident = readResident() ?? largest
    return ProcessMemory(resident: resident, largest: max(largest, resident))
  }

  private static func readResident() -> Int? {
    let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 128)
    let count = read(file, &buffer, buffer.count)
    guard count > 0 else { return nil }
    let words = buffer.prefix(count).split(separator: UInt8(ascii: " "))
    guard words.count > 1, let pages = Int(String(decoding: words[1], as: UTF8.self)) else { return nil }
    return pages &* Int(getpagesize())
  }
}
