import Testing
import WSGICore

@Suite struct LogRateTests {
  private static let second: Int64 = 1_000_000_000
  private let rate = LogRate(lines: 10, bytes: 1000, burstOfLines: 50, burstOfBytes: 4000)

  private final class Writer {
    private var allowance: LogAllowance
    init(_ rate: LogRate) { allowance = LogAllowance(rate) }

    func taken(of count: Int, bytes: Int, now: Int64) -> Int {
      var taken = 0
      for _ in 0..<count where allowance.take(bytes: bytes, now: now) { taken += 1 }
      return taken
    }

    func dropped() -> DroppedRecords? { allowance.takeDropped() }
  }

  @Test func aBurstOfLinesAndThenARate() {
    let writer = Writer(rate)
    let start: Int64 = 5 * LogRateTests.second
    #expect(writer.taken(of: 60, bytes: 1, now: start) == 50)
    #expect(writer.dropped() == DroppedRecords(lines: 10, bytes: 10))
    #expect(writer.dropped() == nil)
    // A second is worth ten lines, whatever was refused meanwhile.
    #expect(writer.taken(of: 60, bytes: 1, now: start + LogRateTests.second) == 10)
    // Rest brings the burst back, and no more than that.
    #expect(writer.taken(of: 60, bytes: 1, now: start + 3600 * LogRateTests.second) == 50)
  }

  @Test func bytesHaveARateOfTheirOwn() {
    let writer = Writer(rate)
    let start = LogRateTests.second
    #expect(writer.taken(of: 10, bytes: 1000, now: start) == 4)
    #expect(writer.dropped() == DroppedRecords(lines: 6, bytes: 6000))
    #expect(writer.taken(of: 1, bytes: 1000, now: start + LogRateTests.second / 2) == 0)
    #expect(writer.taken(of: 1, bytes: 1000, now: start + LogRateTests.second) == 1)
    // One that is larger than the burst never passes, and does not stop others.
    #expect(writer.taken(of: 1, bytes: .max, now: start + 60 * LogRateTests.second) == 0)
    #expect(writer.taken(of: 1, bytes: 1, now: start + 60 * LogRateTests.second) == 1)
  }

  @Test func aClockThatGoesBackStopsNothing() {
    let writer = Writer(rate)
    #expect(writer.taken(of: 1, bytes: 1, now: 1000 * LogRateTests.second) == 1)
    #expect(writer.taken(of: 1, bytes: 1, now: LogRateTests.second) == 1)
  }
}
