/// The buckets that durations are counted in: below 0.1 ms, then twenty octaves of two parts each, then 104.8576 s and more.
public enum LatencyBuckets {
  static let octaves = 20
  public static let count = 2 * octaves + 2
  private static let least: UInt64 = 100

  /// The bucket of a duration in microseconds.
  @inline(__always)
  public static func bucket(microseconds: UInt64) -> Int {
    let units = microseconds / least
    guard units > 0 else { return 0 }
    let octave = 63 - units.leadingZeroBitCount
    guard octave < octaves else { return count - 1 }
    let start = least << UInt64(octave)
    return 1 + 2 * octave + (microseconds - start >= start / 2 ? 1 : 0)
  }

  /// Where a bucket begins, in microseconds; the last has no end.
  public static func start(of bucket: Int) -> UInt64 {
    guard bucket > 0 else { return 0 }
    let octave = UInt64(min(bucket - 1, 2 * octaves) / 2)
    return bucket % 2 == 1 ? least << octave : (least << octave) / 2 * 3
  }

  /// The duration that the fraction `quantile` of what was counted does not exceed, in microseconds, as if durations were
  /// spread evenly over each bucket; nil where nothing was counted.
  public static func quantile(_ quantile: Double, of counts: [UInt64]) -> UInt64? {
    guard counts.count == count else { return nil }
    let total = counts.reduce(0, &+)
    guard total > 0 else { return nil }
    let rank = quantile * Double(total)
    var below = 0.0
    for (bucket, number) in counts.enumerated() where number > 0 {
      let within = rank - below
      below += Double(number)
      guard below >= rank else { continue }
      let begin = Double(start(of: bucket))
      guard bucket < count - 1 else { return UInt64(begin) }
      let part = min(max(within / Double(number), 0), 1)
      return UInt64(begin + (Double(start(of: bucket + 1)) - begin) * part)
    }
    return start(of: count - 1)
  }

  /// The ends of whole octaves in microseconds, each with how many durations lay below it: what a metrics histogram has.
  public static func cumulative(_ counts: [UInt64]) -> [(end: UInt64, below: UInt64)] {
    guard counts.count == count else { return [] }
    var sum = counts[0]
    var found: [(UInt64, UInt64)] = [(least, sum)]
    for octave in 0..<octaves {
      sum &+= counts[1 + 2 * octave] &+ counts[2 + 2 * octave]
      found.append((least << UInt64(octave + 1), sum))
    }
    return found
  }
}
