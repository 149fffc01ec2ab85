import Glibc

/// How much memory the process has, in bytes.
public struct ProcessMemory: Sendable {
  public let resident: Int
  public let largest: Int

  public init(resident: Int, largest: Int) {
    self.resident = resident
    self.largest = largest
  }

  public static func now() -> ProcessMemory {
    var usage = rusage()
    let largest = getrusage(RUSAGE_SELF, &usage) == 0 ? Int(usage.ru_maxrss) &* 1024 : 0
    // A process in a chroot has no /proc; what it had at most is the best that is known then. The kernel keeps the two counts
    // apart, and brings the larger one up to date now and then.
    let resident = resident(of: "self") ?? largest
    return ProcessMemory(resident: resident, largest: max(largest, resident))
  }

  /// Of a process by its id; nil: it has gone, or `/proc` is hidden from us.
  public static func resident(of process: String) -> Int? {
    let file = Descriptor(owning: open("/proc/\(process)/statm", O_RDONLY | O_CLOEXEC))
    var buffer = [UInt8](repeating: 0, count: 128)
    let count = read(file.number, &buffer, buffer.count)
    guard count > 0 else { return nil }
    let words = buffer.prefix(count).split(separator: UInt8(ascii: " "))
    guard words.count > 1, let pages = Int(String(decoding: words[1], as: UTF8.self)) else { return nil }
    return pages &* Int(getpagesize())
  }
}
