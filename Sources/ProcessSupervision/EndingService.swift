import WSGICore

/// A process of a service group of an earlier generation, which has been told to end. The group of the same name is not started
/// beside it: what there is to be one of should never be two.
public struct EndingService: Sendable {
  let group: String
  let pid: Int32
  /// With the pid it names one process only.
  let startTicks: UInt64
  /// Its supervisor will have killed it by then, in microseconds of the monotonic clock.
  let until: Int64

  func isOver(now: Int64) -> Bool { now >= until || ProcessFacts.startTicks(pid) != startTicks }
}
