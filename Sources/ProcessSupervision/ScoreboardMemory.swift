import CPosix
import Glibc

/// Shared memory in which the supervisor publishes the state of every group. The supervisor writes it, its successor inherits
/// it, and httpd's children read it; they have no writable mapping and cannot make one.
///
/// The parent makes it before any fork. It holds 64-bit words only: first the next instance number, then a row per group. How
/// many rows there are, and for how many processes each, is fixed with it; a group that comes later takes a row that is free.
public struct ScoreboardMemory: @unchecked Sendable {
  // The mapping lives as long as the processes that have it; concurrent access is by the word.
  private let readable: UnsafeRawPointer
  private var writable: UnsafeMutableRawPointer?
  private let size: Int
  private let rows: [(offset: Int, slots: Int)]

  private static let header = 8

  /// Makes rows for groups of so many processes each; nil when memory is short, with errno's value.
  public static func make(processes: [Int]) -> Result<ScoreboardMemory, ScoreboardFailure> {
    var rows: [(offset: Int, slots: Int)] = []
    var words = header
    for count in processes {
      let slots = GroupScoreboard.slotCount(processes: count)
      rows.append((words &* 8, slots))
      words = words &+ GroupScoreboard.words(slots: slots)
    }
    var writable: UnsafeMutableRawPointer?
    var readable: UnsafeMutableRawPointer?
    let result = wsgi_posix_shared_board(words &* 8, &writable, &readable)
    guard result == 0, let writable, let readable else { return .failure(ScoreboardFailure(errno: -result)) }
    wsgi_posix_store(writable, 1)
    return .success(ScoreboardMemory(readable: UnsafeRawPointer(readable), writable: writable, size: words &* 8, rows: rows))
  }

  /// Gives up writing, for good: to be called in every process that is not a supervisor or the parent of one.
  public mutating func becomeReader() {
    if let writable { munmap(writable, size) }
    writable = nil
  }

  /// Unmaps the memory when its generation is over.
  public mutating func discard() {
    becomeReader()
    munmap(UnsafeMutableRawPointer(mutating: readable), size)
  }

  /// Whether a process without the writable mapping could get at one after all.
  var canBeMadeWritable: Bool {
    mprotect(UnsafeMutableRawPointer(mutating: readable), size, PROT_READ | PROT_WRITE) == 0
  }

  /// A number that no other worker of the generation has.
  func nextInstance() -> UInt64 {
    let instance = wsgi_posix_load(readable)
    if let writable { wsgi_posix_store(writable, instance &+ 1) }
    return instance
  }

  /// A row to read; nil: there is none in that place.
  public func reader(_ row: Int) -> GroupScoreboard? {
    guard rows.indices.contains(row) else { return nil }
    return GroupScoreboard(readable: readable + rows[row].offset, writable: nil, slots: rows[row].slots)
  }

  /// A row to write, as far as this process may: it must not be used once the process has given up writing.
  func writer(_ row: Int) -> GroupScoreboard? {
    guard rows.indices.contains(row) else { return nil }
    let (offset, slots) = rows[row]
    return GroupScoreboard(readable: readable + offset, writable: writable.map { $0 + offset }, slots: slots)
  }
}

/// The memory could not be made.
public struct ScoreboardFailure: Error, Equatable, Sendable {
  public let errno: Int32
}
