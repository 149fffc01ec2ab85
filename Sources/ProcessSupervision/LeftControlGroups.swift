/// Control groups of groups that have gone, in which processes were left: each is removed when these have ended, which is looked
/// at ever less often. Times in microseconds of the monotonic clock.
struct LeftControlGroups {
  private struct Entry {
    var path: [UInt8]
    var due: Int64
    var pause: Int64
  }

  private var entries: [Entry] = []
  /// When one is to be looked at; `.max`: there is none.
  private(set) var due: Int64 = .max

  private static let firstPause: Int64 = 1_000_000
  private static let longestPause: Int64 = 600_000_000
  /// Those that were left first are given up beyond that.
  private static let most = 1_000

  var paths: [[UInt8]] { entries.map(\.path) }

  mutating func add(_ path: [UInt8], now: Int64) {
    entries.removeAll { $0.path == path }
    if entries.count >= Self.most { entries.removeFirst() }
    entries.append(Entry(path: path, due: now &+ Self.firstPause, pause: Self.firstPause))
    update()
  }

  /// A group has it again.
  mutating func forget(_ path: [UInt8]) {
    guard !entries.isEmpty else { return }
    entries.removeAll { $0.path == path }
    update()
  }

  /// Tries those that are due; `remove` says whether one is gone.
  mutating func tryDue(now: Int64, _ remove: ([UInt8]) -> Bool) {
    guard now >= due else { return }
    entries.removeAll { $0.due <= now && remove($0.path) }
    for index in entries.indices where entries[index].due <= now {
      entries[index].due = now &+ entries[index].pause
      entries[index].pause = min(entries[index].pause &* 2, Self.longestPause)
    }
    update()
  }

  private mutating func update() { due = entries.map(\.due).min() ?? .max }
}
