import Glibc
import Synchronization

/// Numbers that one thread writes and others read, without a lock: the writer never waits.
///
/// A reader sees the writes of one `update` as a whole or not at all. The words live until `deallocate`: those of a thread as
/// long as the process.
struct WatchedWords: @unchecked Sendable {  // every word is atomic
  private let words: UnsafeMutablePointer<Atomic<UInt64>>
  let count: Int

  init(count: Int) {
    self.count = count
    words = .allocate(capacity: count + 1)
    for index in 0...count { (words + index).initialize(to: Atomic(0)) }
  }

  /// Nobody reads or writes them any more.
  func deallocate() { words.deallocate() }

  private var sequence: UnsafeMutablePointer<Atomic<UInt64>> { words + count }

  subscript(index: Int) -> UInt64 {
    get { words[index].load(ordering: .relaxed) }
    nonmutating set { words[index].store(newValue, ordering: .relaxed) }
  }

  /// Adds to a word. Its own thread only.
  func add(_ index: Int, _ value: UInt64) { self[index] = self[index] &+ value }

  /// Writes several words that belong together. Its own thread only, and not from within itself.
  @inline(__always)
  func update(_ body: () -> Void) {
    let before = sequence.pointee.load(ordering: .relaxed)
    // Total order with the reader's change of period: a writer that begins after that knows of it.
    sequence.pointee.store(before &+ 1, ordering: .sequentiallyConsistent)
    atomicMemoryFence(ordering: .releasing)
    body()
    sequence.pointee.store(before &+ 2, ordering: .releasing)
  }

  /// A copy of all words, of one moment. Any thread. Waits for a writer that the scheduler stopped in the midst of an update, but
  /// not for ever: then the copy may show half of it.
  func snapshot() -> [UInt64] {
    var copy = [UInt64](repeating: 0, count: count)
    for attempt in 0..<1000 {
      let before = sequence.pointee.load(ordering: .sequentiallyConsistent)
      if before & 1 == 0 || attempt == 999 {
        for index in 0..<count { copy[index] = self[index] }
        atomicMemoryFence(ordering: .acquiring)
        if sequence.pointee.load(ordering: .relaxed) == before { return copy }
      } else {
        sched_yield()
      }
    }
    return copy
  }
}
