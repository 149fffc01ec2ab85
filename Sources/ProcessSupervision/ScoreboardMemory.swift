import Glibc
import Platform
import Synchronization

/// Shared memory in which the supervisor publishes the state of every group. The supervisor writes it, its successor inherits
/// it, and httpd's children read it; they have no writable mapping and cannot make one.
///
/// The parent makes it before any fork. It holds 64-bit words only: first the next instance number, then a row per group. How
/// many rows there are, and for how many processes each, is fixed with it; a group that comes later takes a row that is free.
public struct ScoreboardMemory: Sendable {
  private let readable: SharedMemory
  private var writable: SharedMemory?
  private let rows: [(offset: Int, slots: Int, keepsScript: Bool)]

  private static let header = 8

  /// Makes rows for groups of so many processes each, of which some have room for a script's path; nil when memory is short.
  public static func make(processes: [Int], keepsScript: (Int) -> Bool = { _ in false }) -> ScoreboardMemory? {
    var rows: [(offset: Int, slots: Int, keepsScript: Bool)] = []
    var words = header
    for (row, count) in processes.enumerated() {
      let slots = GroupScoreboard.slotCount(processes: count)
      rows.append((words, slots, keepsScript(row)))
      words = words &+ GroupScoreboard.words(slots: slots, keepsScript: keepsScript(row))
    }
    guard let memory = SharedMemory.makePair(size: words &* 8) else { return nil }
    memory.writable.words[0].store(1, ordering: .releasing)
    return ScoreboardMemory(readable: memory.readable, writable: memory.writable, rows: rows)
  }

  /// Gives up writing, for good: to be called in every process that is not a supervisor or the parent of one.
  public mutating func becomeReader() {
    writable?.unmap()
    writable = nil
  }

  /// Unmaps the memory when its generation is over.
  public mutating func discard() {
    becomeReader()
    readable.unmap()
  }

  /// Whether a process without the writable mapping could get at one after all.
  var canBeMadeWritable: Bool {
    mprotect(readable.start, readable.size, PROT_READ | PROT_WRITE) == 0
  }

  /// A worker has been started: the scoreboards may say something.
  var hasInstances: Bool { readable.words[0].load(ordering: .acquiring) > 1 }

  /// A number that no other worker of the generation has.
  func nextInstance() -> UInt64 {
    let instance = readable.words[0].load(ordering: .acquiring)
    writable?.words[0].store(instance &+ 1, ordering: .releasing)
    return instance
  }

  /// A row to read; nil: there is none in that place.
  public func reader(_ row: Int) -> GroupScoreboard? {
    guard rows.indices.contains(row) else { return nil }
    let (offset, slots, keepsScript) = rows[row]
    return GroupScoreboard(readable: readable.words + offset, writable: nil, slots: slots, keepsScript: keepsScript)
  }

  /// A row to write, as far as this process may: it must not be used once the process has given up writing.
  func writer(_ row: Int) -> GroupScoreboard? {
    guard rows.indices.contains(row) else { return nil }
    let (offset, slots, keepsScript) = rows[row]
    return GroupScoreboard(
      readable: readable.words + offset, writable: writable.map { $0.words + offset }, slots: slots, keepsScript: keepsScript)
  }
}
