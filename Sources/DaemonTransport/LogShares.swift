import Glibc
import Synchronization
import WSGICore

/// How much the requests of each process group have written to httpd's log, over all httpd children.
///
/// A mapping shared by the parent and the children it forks. What a child does to it can let lines through or drop them, no more.
public struct LogShares: @unchecked Sendable {
  // SAFETY: the mapping is made once, never moves, and is only reached through atomics.
  private let base: UnsafeMutableRawPointer
  private let groups: Int

  /// nil when there is no memory for it.
  public init?(groups: Int) {
    guard groups > 0, groups <= 65536 else { return nil }
    let mapping = mmap(nil, groups * LogShare.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
    guard let mapping, mapping != MAP_FAILED else { return nil }
    // Zeroed pages are valid: Atomic<Int64> is its integer and nothing else.
    base = mapping
    self.groups = groups
  }

  /// Gives the mapping back. Nothing may use it, or a share of it, in this process afterwards.
  public func unmap() { _ = munmap(base, groups * LogShare.size) }

  public func share(of group: Int) -> LogShare? {
    (0..<groups).contains(group) ? LogShare(base + group * LogShare.size) : nil
  }
}

/// One group's part. Its functions may be called on any thread.
public struct LogShare: @unchecked Sendable {
  private typealias Word = Atomic<Int64>
  /// Words of different groups are far apart.
  fileprivate static let size = 64
  /// How often what was dropped is told, in nanoseconds.
  private static let pause: Int64 = 1_000_000_000

  // SAFETY: see LogShares.
  private let base: UnsafeMutablePointer<Word>

  fileprivate init(_ base: UnsafeMutableRawPointer) { self.base = base.assumingMemoryBound(to: Word.self) }

  private var lineDue: UnsafeMutablePointer<Word> { base }
  private var byteDue: UnsafeMutablePointer<Word> { base + 1 }
  private var droppedLines: UnsafeMutablePointer<Word> { base + 2 }
  private var droppedBytes: UnsafeMutablePointer<Word> { base + 3 }
  private var told: UnsafeMutablePointer<Word> { base + 4 }

  /// Whether one more record may be written. `now`: nanoseconds of the monotonic clock.
  public func take(bytes: Int, now: Int64) -> Bool {
    let isTaken =
      LogShare.advance(lineDue) { LogRate.group.lineDue(after: $0, now: now) }
      && LogShare.advance(byteDue) { LogRate.group.byteDue(Int64(bytes), after: $0, now: now) }
    if !isTaken {
      droppedLines.pointee.wrappingAdd(1, ordering: .relaxed)
      droppedBytes.pointee.wrappingAdd(Int64(bytes), ordering: .relaxed)
    }
    return isTaken
  }

  private static func advance(_ word: UnsafeMutablePointer<Word>, _ next: (Int64) -> Int64?) -> Bool {
    var due = word.pointee.load(ordering: .relaxed)
    while let wanted = next(due) {
      let (done, found) = word.pointee.compareExchange(expected: due, desired: wanted, ordering: .relaxed)
      if done { return true }
      due = found
    }
    return false
  }

  /// The records dropped since this was last told; nil: none, or it was told less than a second ago.
  public func takeDropped(now: Int64) -> DroppedRecords? {
    guard droppedLines.pointee.load(ordering: .relaxed) > 0 else { return nil }
    let last = told.pointee.load(ordering: .relaxed)
    guard last == 0 || now &- last >= LogShare.pause || last > now,
      told.pointee.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged
    else { return nil }
    let lines = droppedLines.pointee.exchange(0, ordering: .relaxed)
    let bytes = droppedBytes.pointee.exchange(0, ordering: .relaxed)
    return lines > 0 ? DroppedRecords(lines: lines, bytes: max(bytes, 0)) : nil
  }
}
