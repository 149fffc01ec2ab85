import Synchronization

/// How long processors had worked for processes when the status page was made before: from that and what is found now comes the
/// part of a processor that each has used since. Part of the book, as pages are made by all children; a fixed number of places,
/// so that of very many processes some have none.
public struct ProcessorShares: @unchecked Sendable {
  static let places = 512
  private static let size = 3
  static let words = places * size
  /// In microseconds: a sample is worth comparing with, is replaced, and says nothing any more.
  private static let leastAge: Int64 = 500_000
  private static let goodAge: Int64 = 2_000_000
  private static let mostAge: Int64 = 600_000_000

  // SAFETY: in the book's mapping; only reached through atomics. The process, when it was looked at, and what was found.
  let base: UnsafeMutablePointer<Atomic<Int>>

  /// In thousandths of a processor; nil: there is nothing to compare with. Times in microseconds. Pages that are made at the same
  /// moment may get in each other's way: then a share is wrong, once.
  public func share(of pid: Int32, used: Int64, now: Int64) -> Int64? {
    let place = base + Int(UInt32(bitPattern: pid)) % ProcessorShares.places * ProcessorShares.size
    let then = Int64(place[1].load(ordering: .relaxed))
    let before = Int64(place[2].load(ordering: .relaxed))
    let age = now &- then
    let isKnown = place.pointee.load(ordering: .relaxed) == Int(pid) && age > 0 && age < ProcessorShares.mostAge && used >= before
    if !isKnown || age >= ProcessorShares.goodAge {
      place.pointee.store(Int(pid), ordering: .relaxed)
      place[1].store(Int(now), ordering: .relaxed)
      place[2].store(Int(used), ordering: .relaxed)
    }
    guard isKnown, age >= ProcessorShares.leastAge else { return nil }
    let (thousandfold, overflows) = (used &- before).multipliedReportingOverflow(by: 1000)
    return overflows ? nil : thousandfold / age
  }
}
