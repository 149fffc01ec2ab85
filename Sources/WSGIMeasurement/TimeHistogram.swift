/// The buckets that request times are counted in: below 1 ms, then sixteen octaves of four parts each, then 65.536 s and more.
///
/// Bucket 0 also holds the first part of the first octave, 1 ms to 1.25 ms.
enum TimeHistogram {
  static let count = 65

  /// The bucket of a time in microseconds.
  static func bucket(microseconds: UInt64) -> Int {
    let milliseconds = microseconds / 1000
    guard milliseconds > 0 else { return 0 }
    let octave = 63 - milliseconds.leadingZeroBitCount
    guard octave < 16 else { return count - 1 }
    let start = UInt64(1000) << UInt64(octave)
    return 4 * octave + Int((microseconds - start) * 4 / start)
  }
}
