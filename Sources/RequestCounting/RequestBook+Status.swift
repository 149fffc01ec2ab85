import Synchronization
import WSGICore

/// The counters that the status page reads. Each word is atomic by itself, so sums may differ by the requests that end while
/// they are read.
extension RequestBook {
  /// The requests that ended of late.
  public func history(of row: Row, now: Int64) -> [RequestInterval] { row.history.read(now: now) }

  /// The counters of a group since the book was made.
  public func counts(of row: Row) -> RequestCounts {
    var counts = RequestCounts()
    func load(_ word: UnsafeMutablePointer<Word>) -> UInt64 { UInt64(bitPattern: Int64(word.pointee.load(ordering: .relaxed))) }
    for index in 0..<Row.stripes {
      let stripe = row.stripe(index)
      for index in counts.statuses.indices { counts.statuses[index] &+= load(stripe + Row.Offset.status + index) }
      for index in counts.causes.indices { counts.causes[index] &+= load(stripe + Row.Offset.cause + index) }
      for index in counts.latencies.indices { counts.latencies[index] &+= load(stripe + Row.Offset.bucket + index) }
      counts.duration &+= load(stripe + Row.Offset.sum)
    }
    let last = row.lastFailure.pointee.load(ordering: .relaxed)
    if last != 0, let cause = RequestCause(rawValue: last & 0xFF) {
      counts.lastFailure = .init(cause: cause, at: Int64(last >> 8) &* 1000)
    }
    return counts
  }

  /// A child of httpd, and what it has in flight.
  public struct Child: Equatable, Sendable {
    public var pid: Int32
    /// Microseconds since the epoch.
    public var started: Int64
    /// Embedded requests that it has answered.
    public var answered: UInt64
    public var inFlight: [OpenRequest]
  }

  public struct OpenRequest: Equatable, Sendable {
    /// That of the group's row.
    public var slot: Int
    /// When httpd had read the request line, or the body that it was to receive, in microseconds since the epoch; 0: it receives
    /// that now.
    public var started: Int64
    /// nil: it has just begun, or just ended.
    public var label: RequestLabel.Copy?

    public init(slot: Int, started: Int64, label: RequestLabel.Copy? = nil) {
      self.slot = slot
      self.started = started
      self.label = label
    }
  }

  public func children() -> [Child] {
    (0..<layout.children).compactMap { index in
      let pid = owner(of: index)
      guard pid > 0 else { return nil }
      let words = seat(index)
      let running: [OpenRequest] = (0..<layout.places).compactMap { place in
        let stamp = words[Layout.firstPlace &+ place].load(ordering: .relaxed)
        let slot = stamp & 0xFFFF &- 1
        guard slot >= 0, slot < layout.rows else { return nil }
        let label = RequestLabel.read(words + (layout.firstLabel &+ place &* RequestLabel.words))
        return OpenRequest(slot: slot, started: Int64(stamp >> 16) &* 1000, label: label)
      }
      return Child(
        pid: pid, started: Int64(words[1].load(ordering: .relaxed)),
        answered: UInt64(clamping: words[2].load(ordering: .relaxed)), inFlight: running)
    }
  }
}

/// The counters of a group's requests.
public struct RequestCounts: Equatable, Sendable {
  public struct Failure: Equatable, Sendable {
    public var cause: RequestCause
    /// Microseconds since the epoch.
    public var at: Int64

    public init(cause: RequestCause, at: Int64) {
      self.cause = cause
      self.at = at
    }
  }

  /// Requests by the first digit of their status; 0: the client went before it got one.
  public var statuses = [UInt64](repeating: 0, count: 6)
  /// By `RequestCause`.
  public var causes = [UInt64](repeating: 0, count: RequestCause.allCases.count)
  /// By `LatencyBuckets`.
  public var latencies = [UInt64](repeating: 0, count: LatencyBuckets.count)
  /// All durations together, in microseconds.
  public var duration: UInt64 = 0
  public var lastFailure: Failure?

  public init() {}

  public var total: UInt64 { statuses.reduce(0, &+) }
}
