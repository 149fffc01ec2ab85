import Glibc
import Platform
import RequestCounting
import Testing
import WSGICore

@testable import DaemonTransport

@Suite struct AdmissionTests {
  /// Nobody waits for what was given up, but it lies in the queue, with its descriptors.
  @Test func givenUpRequestsCountUntilTheyLeaveTheQueue() throws {
    let book = try #require(RequestBook(rows: 2, children: 1))
    defer { book.unmap() }
    let (row, other) = (try #require(book.row(0)), try #require(book.row(1)))
    let seat = book.takeSeat(pid: 1)
    let queue = try RequestQueue(backlog: 100)
    let head = requestHead([])
    let channel = temporaryFile()
    defer { close(channel) }
    for _ in 0..<4 {
      #expect(seat.enterWithPatience(row, limit: 4, queue: queue.writeEnd.number) == nil)
      let sent = head.withUnsafeBytes { QueueWriter.pass($0, QueueEnvelope(), channel: channel, to: queue.writeEnd.number) }
      #expect(sent)
      seat.giveUp(row)
      seat.leave(row)
    }
    #expect(seat.enterWithPatience(row, limit: 4, queue: queue.writeEnd.number) == .givenUp)
    #expect(seat.enterWithPatience(other, limit: 4, queue: queue.writeEnd.number) == nil)
    var reader = QueueReader()
    for _ in 0..<4 {
      if let request = reader.next(queue.readEnd.number) { close(request.channel) }
    }
    #expect(seat.enterWithPatience(row, limit: 4, queue: queue.writeEnd.number) == nil)
    #expect(seat.givenUp(row) == 0)
  }

  @Test func countsAreExactUnderContention() throws {
    let book = try #require(RequestBook(rows: 1, children: 4))
    defer { book.unmap() }
    let row = try #require(book.row(0))
    let threads = (1...4).map { pid in
      Background {
        let seat = book.takeSeat(pid: Int32(pid))
        for _ in 0..<20_000 where seat.enter(row, limit: 3) == nil { seat.leave(row) }
      }
    }
    for thread in threads { thread.join() }
    #expect(row.inFlightNow == 0)
  }

  @Test func threadsShareTheOneBudgetOfTheLog() {
    let share = LogShare.ofProcess()
    let threads = (0..<4).map { _ in
      Background { for _ in 0..<20_000 { _ = share.take(bytes: 1, now: 1_000_000_000) } }
    }
    for thread in threads { thread.join() }
    #expect(share.takeDropped(now: 1_000_000_000)?.lines == 80_000 - LogRate.group.burstOfLines)
  }
}
