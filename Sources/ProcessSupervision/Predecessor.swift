import CPosix
import WSGICore

/// A process of a service group of an earlier generation, which has been told to end. The group of the same name is not started
/// beside it: what there is to be one of should never be two.
public struct Predecessor: Sendable {
  let group: String
  let pid: Int32
  /// With the pid it names one process only.
  let startTicks: UInt64
  /// Its supervisor will have killed it by then, in microseconds of the monotonic clock.
  let until: Int64

  func isOver(now: Int64) -> Bool { now >= until || ProcessFacts.startTicks(pid) != startTicks }
}

extension SupervisedGeneration {
  /// The processes of service groups that have not ended yet, for the generation that comes after this one.
  public func services() -> [Predecessor] {
    var found: [Predecessor] = []
    for (index, group) in groups.enumerated() where group.settings.isService {
      let until = wsgi_posix_monotonic() &+ group.stopAllowance &+ 1_000_000
      for slot in (0..<board.slotCount(ofGroup: index)).map({ board.slot($0, ofGroup: index) }) where slot.pid > 0 {
        found.append(Predecessor(group: group.name, pid: slot.pid, startTicks: slot.startTicks, until: until))
      }
    }
    return found
  }
}
