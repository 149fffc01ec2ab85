import Synchronization
import WSGICore

/// How much the requests of a process group have written to httpd's log, over all httpd children: part of the group's row in
/// the book. What a child does to it can let lines through or drop them, no more. Its functions may be called on any thread.
public struct LogShare: @unchecked Sendable {
  private typealias Word = RequestBook.Word
  /// How often what was dropped is told, in nanoseconds.
  private static let pause: Int64 = 1_000_000_000

  // SAFETY: in the book's mapping, or never freed; only reached through atomics.
  private let base: UnsafeMutablePointer<Word>

  init(words: UnsafeMutablePointer<RequestBook.Word>) { base = words }

  /// The log limit of all applications of the calling process; kept until it ends.
  public static func ofProcess() -> LogShare { LogShare(words: RequestBook.words(8)) }

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
      droppedBytes.pointee.wrappingAdd(bytes, ordering: .relaxed)
    }
    return isTaken
  }

  private static func advance(_ word: UnsafeMutablePointer<Word>, _ next: (Int64) -> Int64?) -> Bool {
    var due = word.pointee.load(ordering: .relaxed)
    while let wanted = next(Int64(due)) {
      let (done, found) = word.pointee.compareExchange(expected: due, desired: Int(wanted), ordering: .relaxed)
      if done { return true }
      due = found
    }
    return false
  }

  /// The records dropped since this was last told; nil: none, or it was told less than a second ago.
  public func takeDropped(now: Int64) -> DroppedRecords? {
    guard droppedLines.pointee.load(ordering: .relaxed) > 0 else { return nil }
    let last = Int64(told.pointee.load(ordering: .relaxed))
    guard last == 0 || now &- last >= LogShare.pause || last > now,
      told.pointee.compareExchange(expected: Int(last), desired: Int(now), ordering: .relaxed).exchanged
    else { return nil }
    let lines = droppedLines.pointee.exchange(0, ordering: .relaxed)
    let bytes = droppedBytes.pointee.exchange(0, ordering: .relaxed)
    return lines > 0 ? DroppedRecords(lines: Int64(lines), bytes: Int64(max(bytes, 0))) : nil
  }
}
