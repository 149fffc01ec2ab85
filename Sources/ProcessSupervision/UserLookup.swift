import CPosix
import Glibc
import Platform

/// A user as the system's databases know it, with all groups.
public struct UserEntry: Equatable, Sendable {
  public var name: [UInt8]
  public var uid: UInt32
  /// The primary group.
  public var gid: UInt32
  public var home: [UInt8]
  /// Without the primary group.
  public var supplementaryGroups: [UInt32]

  public init(name: [UInt8], uid: UInt32, gid: UInt32, home: [UInt8], supplementaryGroups: [UInt32] = []) {
    self.name = name
    self.uid = uid
    self.gid = gid
    self.home = home
    self.supplementaryGroups = supplementaryGroups
  }

  /// Asks the name services, which may take their time. nil: there is no such user.
  static func find(_ uid: UInt32) -> UserEntry? {
    guard let entry = getpwuid(uid), let name = entry.pointee.pw_name, let home = entry.pointee.pw_dir else { return nil }
    let gid = entry.pointee.pw_gid
    var groups = [gid_t](repeating: 0, count: 1024)
    var count = Int32(groups.count)
    guard getgrouplist(name, gid, &groups, &count) >= 0 else { return nil }
    return UserEntry(
      name: bytes(name), uid: uid, gid: gid, home: bytes(home),
      supplementaryGroups: groups.prefix(Int(count)).filter { $0 != gid })
  }

  private static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
  }

  /// NUL after each part, and at the end one more.
  var encoded: [UInt8] {
    let numbers = ([uid, gid] + supplementaryGroups).map(\.description).joined(separator: ",")
    return name + [0] + home + [0] + Array(numbers.utf8) + [0, 0]
  }

  init?(encoded bytes: [UInt8]) {
    let parts = bytes.split(separator: 0, maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, parts[3] == [0] else { return nil }
    let words = String(decoding: parts[2], as: UTF8.self).split(separator: ",", omittingEmptySubsequences: false)
    let numbers = words.compactMap { UInt32($0) }
    guard numbers.count == words.count, numbers.count >= 2, !parts[0].isEmpty else { return nil }
    self.init(
      name: Array(parts[0]), uid: numbers[0], gid: numbers[1], home: Array(parts[1]), supplementaryGroups: Array(numbers[2...]))
  }
}

/// The lookup of a user in a process of its own: a name service may wait for the network, and the supervisor waits for nothing.
final class UserLookup {
  /// Reaped by the supervisor.
  let pid: Int32
  /// Readable when the answer comes.
  let descriptor: Int32
  /// In microseconds of the monotonic clock.
  let deadline: Int64
  private var bytes: [UInt8] = []

  private static let patience: Int64 = 10_000_000
  private static let longest = 65_536

  private init(pid: Int32, descriptor: Int32, deadline: Int64) {
    self.pid = pid
    self.descriptor = descriptor
    self.deadline = deadline
  }

  /// nil: no process can be made for it; errno says why.
  static func start(_ user: UInt32, now: Int64) -> UserLookup? {
    var ends: [Int32] = [-1, -1]
    let result = wsgi_posix_output_pipe(&ends)
    guard result == 0 else {
      errno = -result
      return nil
    }
    let pid = wsgi_posix_fork()
    if pid == 0 {
      // Nothing of the supervisor's is kept open by a lookup that takes long.
      dup2(ends[1], 1)
      wsgi_posix_close_from(3)
      answer(user)
    }
    close(ends[1])
    guard pid > 0 else {
      close(ends[0])
      errno = -pid
      return nil
    }
    return UserLookup(pid: pid, descriptor: ends[0], deadline: now &+ patience)
  }

  private static func answer(_ user: UInt32) -> Never {
    var rest = UserEntry.find(user)?.encoded[...] ?? []
    while !rest.isEmpty {
      let count = systemCall { rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) } }
      guard count > 0 else { break }
      rest = rest.dropFirst(count)
    }
    _exit(0)
  }

  enum Outcome: Equatable {
    case pending
    case found(UserEntry)
    /// There is no such user, or the answer makes no sense.
    case none
  }

  /// Takes what has come of the answer.
  func read() -> Outcome {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = systemCall { Glibc.read(descriptor, &buffer, buffer.count) }
      if count > 0, bytes.count < Self.longest {
        bytes += buffer.prefix(count)
      } else if count < 0, count == -Int(EAGAIN) {
        return .pending
      } else {
        return UserEntry(encoded: bytes).map { .found($0) } ?? .none
      }
    }
  }

  /// Ends it, whether it has an answer or not.
  func end() {
    kill(pid, SIGKILL)
    close(descriptor)
  }
}
