import Synchronization

/// Which refusals for want of room one httpd child logs. Overload makes thousands a second, and says the same with each: the
/// first of a process group is logged at once, further ones are counted and told with the next line, one in ten seconds at most.
public final class RefusalPace: Sendable {
  /// In milliseconds.
  static let interval: Int64 = 10_000

  private struct Entry {
    var due: Int64 = 0
    var passedOver = 0
  }

  /// Of each group: refusals by its queue-limit, and those by httpd's threads.
  private let entries: Mutex<[Entry]>

  public init(groups: Int) { entries = Mutex(Array(repeating: Entry(), count: max(0, groups) &* 2)) }

  /// How many were passed over since the last line, where this one is to be logged; else nil.
  public func take(_ group: Int, _ crowding: Crowding) -> Int? { take(group, crowding, now: monotonicMilliseconds()) }

  func take(_ group: Int, _ crowding: Crowding, now: Int64) -> Int? {
    entries.withLock { entries in
      let index = group &* 2 &+ (crowding == .queueLimit || crowding == .givenUp ? 0 : 1)
      guard entries.indices.contains(index) else { return 0 }
      guard now >= entries[index].due else {
        entries[index].passedOver &+= 1
        return nil
      }
      defer { entries[index] = Entry(due: now &+ Self.interval) }
      return entries[index].passedOver
    }
  }
}
