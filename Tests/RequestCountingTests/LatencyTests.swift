import Testing

@testable import RequestCounting

struct LatencyTests {
  @Test func everyDurationHasItsBucket() {
    for bucket in 0..<LatencyBuckets.count {
      let start = LatencyBuckets.start(of: bucket)
      #expect(LatencyBuckets.bucket(microseconds: start) == bucket)
      if bucket > 0 { #expect(LatencyBuckets.bucket(microseconds: start - 1) == bucket - 1) }
    }
    #expect(LatencyBuckets.bucket(microseconds: .max) == LatencyBuckets.count - 1)
    #expect(LatencyBuckets.start(of: 1) == 100)
    #expect(LatencyBuckets.start(of: LatencyBuckets.count - 1) == 104_857_600)
  }

  @Test func quantilesLieWithinTheirBucket() {
    var counts = [UInt64](repeating: 0, count: LatencyBuckets.count)
    #expect(LatencyBuckets.quantile(0.5, of: counts) == nil)
    #expect(LatencyBuckets.quantile(0.5, of: []) == nil)
    for _ in 0..<98 { counts[LatencyBuckets.bucket(microseconds: 1700)] += 1 }
    counts[LatencyBuckets.bucket(microseconds: 50_000)] += 1
    counts[LatencyBuckets.count - 1] += 1
    let median = LatencyBuckets.quantile(0.5, of: counts) ?? 0
    #expect((1600...2400).contains(median))
    let late = LatencyBuckets.quantile(0.985, of: counts) ?? 0
    #expect((38_400...51_200).contains(late))
    #expect(LatencyBuckets.quantile(1, of: counts) == 104_857_600)
  }

  @Test func cumulativeCountsEndWithAllButTheLongest() {
    var counts = [UInt64](repeating: 1, count: LatencyBuckets.count)
    counts[0] = 5
    let all = LatencyBuckets.cumulative(counts)
    #expect(all.first?.end == 100 && all.first?.below == 5)
    #expect(all.last?.end == 104_857_600 && all.last?.below == 45)
    #expect(zip(all, all.dropFirst()).allSatisfy { $0.0.below <= $0.1.below && $0.0.end < $0.1.end })
  }
}
