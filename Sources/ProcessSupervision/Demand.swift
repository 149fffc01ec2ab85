/// How many processes a group with `processes=MIN-MAX` needs: one more when a request has waited for a while, fewer when the
/// group has had fewer threads busy at once for as long as idle-timeout. Times in microseconds of the monotonic clock.
struct Demand {
  /// A request waits for so long before a further process is started for it.
  static let patience: Int64 = 100_000
  /// How often it is looked meanwhile whether the queue has been empty.
  static let tick: Int64 = 20_000
  /// Into so many parts idle-timeout is divided: processes end later than it by one part at most.
  private static let parts = 16
  /// Busy threads are counted at least this often.
  private static let longestPause: Int64 = 500_000

  let minimum: Int
  let maximum: Int
  private let threads: Int
  /// 0: processes never end for want of requests.
  private let idleTimeout: Int64

  /// The processes that the group is to have now.
  private(set) var wanted: Int
  /// Since when there has always been a request in the queue, as far as it was looked; nil: it was empty, or nobody knows.
  private(set) var waitingSince: Int64?
  /// The most threads that were busy at once in each of the last parts of idle-timeout, the present one last; -1: no request was
  /// run. Fewer than `parts`: it is not known for long enough yet.
  private var peaks: [Int] = []
  private var partBegan: Int64 = 0
  private(set) var nextCount: Int64 = .max

  init(minimum: Int, maximum: Int, threads: Int, idleTimeout: Int64) {
    self.minimum = min(max(minimum, 0), maximum)
    self.maximum = maximum
    self.threads = max(threads, 1)
    self.idleTimeout = max(idleTimeout, 0)
    wanted = self.minimum
  }

  var isFixed: Bool { minimum == maximum }

  private var part: Int64 { max(idleTimeout / Int64(Demand.parts), 1_000) }

  // MARK: more

  /// Looks at the queue: is a request in it? `active`: processes that take requests or start; `starting`: those that start.
  mutating func look(isWaiting: Bool, active: Int, starting: Int, now: Int64) {
    guard !isFixed else { return }
    guard isWaiting else {
      waitingSince = nil
      // Started for requests that have gone: it is not tried again for them.
      if active == 0 { wanted = minimum }
      return
    }
    wanted = max(wanted, 1)
    // One that starts may be enough.
    guard active > 0, starting == 0, active < maximum else {
      waitingSince = nil
      return
    }
    let since = waitingSince ?? now
    waitingSince = since
    guard now &- since >= Demand.patience else { return }
    waitingSince = nil
    wanted = min(active + 1, maximum)
    // What is busy now is not what there was to do.
    peaks = []
  }

  /// Whether the arrival of a request would change anything. Where the first process is to be started and cannot yet, the request
  /// for it would be found again and again.
  func awaitsRequests(active: Int, starting: Int) -> Bool {
    guard !isFixed, waitingSince == nil else { return false }
    return active == 0 ? wanted == 0 : starting == 0 && active < maximum
  }

  // MARK: fewer

  /// Takes note of how many threads are busy, and whether any has run a request since the last time. True: the group has more
  /// processes than it is to have from now on.
  mutating func count(busy: Int, hasRun: Bool, active: Int, now: Int64) -> Bool {
    guard active > minimum, idleTimeout > 0 else {
      nextCount = .max
      peaks = []
      return false
    }
    if peaks.isEmpty || nextCount == .max {
      peaks = [-1]
      partBegan = now
    }
    peaks[peaks.count - 1] = max(peaks[peaks.count - 1], busy == 0 && !hasRun ? -1 : busy)
    nextCount = now &+ min(part, Demand.longestPause)
    guard now &- partBegan >= part else { return false }
    defer {
      partBegan = now
      peaks.append(-1)
      if peaks.count > Demand.parts { peaks.removeFirst() }
    }
    guard peaks.count >= Demand.parts, let most = peaks.max() else { return false }
    let needed = most < 0 ? 0 : max(most / threads + (most % threads == 0 ? 0 : 1), 1)
    wanted = min(max(needed, minimum), wanted)
    return wanted < active
  }
}
