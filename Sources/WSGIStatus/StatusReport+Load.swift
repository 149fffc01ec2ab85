import WSGICore

// Figures of a group, computed from its counters.

extension StatusReport.GroupState {
  /// The state of a group that was started: `ready` of its `wanted` processes take requests.
  /// - isServed: some do, or are about to.
  public init(threads: Int, wanted: Int, ready: Int, isServed: Bool) {
    self =
      if threads == 0 {
        .service
      } else if ready >= wanted {
        .serving
      } else if ready > 0 {
        .degraded
      } else {
        isServed ? .starting : .down
      }
  }
}

extension StatusReport.Group {
  /// Counts requests that are in flight, by when each came, oldest first, once the group's processes are known.
  ///
  /// The queue is first come, first served: of the requests in flight, the oldest are those that run. Where threads are idle,
  /// as many of the others are on their way to one of them, or on their way back to the client.
  public mutating func setInFlight(_ starts: [Int64], now: Int64) {
    let known = processes.compactMap(\.busyThreads)
    let capacity = processes.count { $0.state == .ready } * threads
    inFlight = starts.count
    busyThreads = known.isEmpty ? min(starts.count, capacity) : known.reduce(0, +)
    idleThreads = known.isEmpty ? capacity - busyThreads : processes.compactMap(\.idleThreads).reduce(0, +)
    let taken = busyThreads + idleThreads
    waiting = max(0, starts.count - taken)
    if waiting > 0, starts.indices.contains(taken) { oldestWait = max(0, now &- starts[taken]) }
  }
}
