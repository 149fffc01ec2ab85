import Testing
import WSGICore

@testable import DaemonTransport

@Suite struct LogSharesTests {
  private static let second: Int64 = 1_000_000_000

  @Test func oneGroupsLinesAreNobodyElses() throws {
    let shares = try #require(LogShares(groups: 2))
    let first = try #require(shares.share(of: 0))
    let other = try #require(shares.share(of: 1))
    let now = LogSharesTests.second
    let wanted = Int(LogRate.group.burstOfLines) + 1000
    let taken = (0..<wanted).filter { _ in first.take(bytes: 10, now: now) }.count
    #expect(taken == Int(LogRate.group.burstOfLines))
    #expect(first.takeDropped(now: now) == DroppedRecords(lines: 1000, bytes: 10_000))
    #expect(other.take(bytes: 10, now: now) && other.takeDropped(now: now) == nil)
    #expect(shares.share(of: 2) == nil && shares.share(of: -1) == nil)
    shares.unmap()
  }

  @Test func whatIsMissingIsToldOnceASecond() throws {
    let shares = try #require(LogShares(groups: 1))
    let share = try #require(shares.share(of: 0))
    var now = LogSharesTests.second
    for _ in 0..<100_000 { _ = share.take(bytes: 1, now: now) }
    #expect(share.takeDropped(now: now)?.lines == 50_000)
    for _ in 0..<10 { #expect(!share.take(bytes: 1, now: now)) }
    #expect(share.takeDropped(now: now) == nil)
    now += LogSharesTests.second
    #expect(share.takeDropped(now: now)?.lines == 10)
    shares.unmap()
  }

  @Test func threadsShareTheOneBudget() throws {
    let shares = try #require(LogShares(groups: 1))
    let share = try #require(shares.share(of: 0))
    let threads = (0..<4).map { _ in
      Background { for _ in 0..<20_000 { _ = share.take(bytes: 1, now: LogSharesTests.second) } }
    }
    for thread in threads { thread.join() }
    #expect(share.takeDropped(now: LogSharesTests.second)?.lines == 80_000 - LogRate.group.burstOfLines)
    shares.unmap()
  }
}
