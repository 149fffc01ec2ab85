import Synchronization

/// Which refusals of a process group for want of room one httpd child logs: of requests, and of files for their bodies and
/// responses. Overload makes thousands a second, and says the same with each: the first is logged at once, further ones are
/// counted and told with the next line, one in ten seconds at most.
public final class RefusalPace: Sendable {
  /// In milliseconds.
  static let interval: Int64 = 10_000

  private struct Entry {
    var due: Int64 = 0
    var passedOver = 0

    mutating func take(_ now: Int64) -> Int? {
      guard now >= due else {
        passedOver &+= 1
        return nil
      }
      defer { self = Entry(due: now &+ RefusalPace.interval) }
      return passedOver
    }
  }

  /// Refusals by the group's own limit, those by httpd's threads, and those by limits of spools.
  private let entries = Mutex((own: Entry(), threads: Entry(), spools: Entry()))

  public init() {}

  /// How many were passed over since the last line, where this one is to be logged; else nil. `now`: milliseconds of the
  /// monotonic clock.
  public func take(_ crowding: Crowding, now: Int64) -> Int? {
    entries.withLock { entries in
      if case .threads = crowding { entries.threads.take(now) } else { entries.own.take(now) }
    }
  }

  /// The same for a body or a response that found no room.
  public func takeSpool(now: Int64) -> Int? { entries.withLock { $0.spools.take(now) } }
}
