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
