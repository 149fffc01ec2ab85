import Testing
import WSGICore

@testable import RequestCounting

@Suite struct LogShareTests {
  private static let second: Int64 = 1_000_000_000

  @Test func oneGroupsLinesAreNobodyElses() throws {
    let book = try #require(RequestBook(rows: 2, children: 1))
    let rows = try rows(of: book, 2)
    let (first, other) = (rows[0].logShare, rows[1].logShare)
    let now = LogShareTests.second
    let wanted = Int(LogRate.group.burstOfLines) + 1000
    let taken = (0..<wanted).filter { _ in first.take(bytes: 10, now: now) }.count
    #expect(taken == Int(LogRate.group.burstOfLines))
    #expect(first.takeDropped(now: now) == DroppedRecords(lines: 1000, bytes: 10_000))
    #expect(other.take(bytes: 10, now: now) && other.takeDropped(now: now) == nil)
    book.unmap()
  }

  @Test func whatIsMissingIsToldOnceASecond() throws {
    let book = try #require(RequestBook(rows: 1, children: 1))
    let share = try #require(book.row(0)).logShare
    var now = LogShareTests.second
    for _ in 0..<100_000 { _ = share.take(bytes: 1, now: now) }
    #expect(share.takeDropped(now: now)?.lines == 50_000)
    for _ in 0..<10 { #expect(!share.take(bytes: 1, now: now)) }
    #expect(share.takeDropped(now: now) == nil)
    now += LogShareTests.second
    #expect(share.takeDropped(now: now)?.lines == 10)
    book.unmap()
  }
}
