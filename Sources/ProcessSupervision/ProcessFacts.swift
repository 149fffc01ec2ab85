import Glibc
import Platform

/// Facts from /proc: small files of the kernel, each read at once.
public enum ProcessFacts {
  /// When process `pid` was started, in clock ticks since boot: with the pid it names one process only. nil: there is no such
  /// process, or it is a zombie.
  static func startTicks(_ pid: Int32) -> UInt64? {
    guard let fields = fields(pid), fields[0] != [0x5A] else { return nil }
    return UInt64(String(decoding: fields[19], as: UTF8.self))
  }

  /// How long processors have worked for process `pid`, in microseconds; nil: there is no such process, or it is hidden from us.
  public static func processorTime(_ pid: Int32) -> Int64? {
    guard let fields = fields(pid) else { return nil }
    let ticks = fields[11...12].map { Int64(String(decoding: $0, as: UTF8.self)) ?? 0 }
    let (microseconds, overflows) = (ticks[0] &+ ticks[1]).multipliedReportingOverflow(by: 1_000_000)
    return overflows ? nil : microseconds / Int64(max(sysconf(Int32(_SC_CLK_TCK)), 1))
  }

  /// The fields of `/proc/PID/stat` from the state on.
  private static func fields(_ pid: Int32) -> [ArraySlice<UInt8>]? {
    guard let text = read("/proc/\(pid)/stat") else { return nil }
    // The second field is the program's name in parentheses, and may hold any character.
    guard let end = text.lastIndex(of: 0x29) else { return nil }
    let fields = text[(end + 1)...].split(separator: 0x20)
    return fields.count > 19 ? fields : nil
  }

  /// The user of process `pid`, where real, effective, saved and file system user are one. nil: they are not, or there is no such
  /// process.
  static func user(_ pid: Int32) -> UInt32? {
    let line = (read("/proc/\(pid)/status") ?? []).split(separator: 0x0A).first { $0.starts(with: Array("Uid:".utf8)) }
    let ids = (line ?? []).dropFirst(4).split(separator: 0x09).map { UInt32(String(decoding: $0, as: UTF8.self)) }
    guard ids.count == 4, let id = ids[0], ids.allSatisfy({ $0 == id }) else { return nil }
    return id
  }

  /// How many processes the kernel has killed for lack of memory, in this cgroup and on this machine together.
  static func memoryKills() -> UInt64 {
    var kills = number(after: "oom_kill ", in: read("/proc/vmstat") ?? [])
    if let cgroup = ownCgroup() {
      kills = kills &+ number(after: "oom_kill ", in: read("/sys/fs/cgroup\(cgroup)/memory.events") ?? [])
    }
    return kills
  }

  private static func ownCgroup() -> String? {
    guard let text = read("/proc/self/cgroup") else { return nil }
    for line in text.split(separator: 0x0A) where line.starts(with: Array("0::/".utf8)) {
      let path = String(decoding: line.dropFirst(3), as: UTF8.self)
      return path == "/" ? "" : path
    }
    return nil
  }

  private static func number(after key: String, in text: [UInt8]) -> UInt64 {
    for line in text.split(separator: 0x0A) where line.starts(with: key.utf8) {
      return UInt64(String(decoding: line.dropFirst(key.utf8.count), as: UTF8.self)) ?? 0
    }
    return 0
  }

  private static func read(_ path: String) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 32_768)
    var used = 0
    while used < bytes.count {
      let count = bytes.withUnsafeMutableBytes { room in
        systemCall { Glibc.read(file, room.baseAddress.map { $0 + used }, room.count &- used) }
      }
      if count <= 0 { break }
      used = used &+ count
    }
    return used > 0 ? Array(bytes[0..<used]) : nil
  }
}
