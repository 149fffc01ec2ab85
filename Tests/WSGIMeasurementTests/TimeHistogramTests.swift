import Testing

@testable import WSGIMeasurement

@Suite struct TimeHistogramTests {
  @Test(arguments: [
    (0, 0), (1, 0), (999, 0), (1000, 0), (1249, 0), (1250, 1), (1499, 1), (1500, 2), (1750, 3), (1999, 3), (2000, 4),
    (2499, 4), (2500, 5), (3999, 7), (4000, 8), (5000, 9), (8000, 12), (16000, 16), (100_000, 26), (1_000_000, 39),
    (1_024_000, 40), (32_768_000, 60), (65_535_999, 63), (65_536_000, 64), (3_600_000_000, 64),
  ])
  func buckets(microseconds: UInt64, bucket: Int) {
    #expect(TimeHistogram.bucket(microseconds: microseconds) == bucket)
  }

  @Test func extremes() { #expect(TimeHistogram.bucket(microseconds: .max) == 64) }

  @Test func everyBucketHoldsTimesThatFollowTheOnesBefore() {
    var last = 0
    for microseconds in stride(from: UInt64(0), to: 70_000_000, by: 100) {
      let bucket = TimeHistogram.bucket(microseconds: microseconds)
      #expect(bucket == last || bucket == last + 1)
      last = bucket
    }
    #expect(last == 64)
  }
}
