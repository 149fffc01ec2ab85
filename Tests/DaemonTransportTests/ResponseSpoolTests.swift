import Glibc
import Platform
import RequestCounting
import Testing

@testable import DaemonTransport

/// What a slow client has not taken, in memory and in a file.
@Suite struct ResponseSpoolTests {
  private let book: RequestBook
  private let seat: ChildSeat
  private let row: RequestBook.Row

  init() throws {
    book = try #require(RequestBook(rows: 1, children: 2))
    seat = book.takeSeat(pid: 1)
    row = try #require(book.row(0))
  }

  private func append(
    _ bytes: [UInt8], to spool: inout ResponseSpool, limit: Int, file: Int32? = nil, spoolLimit: Int = 0
  ) -> SpoolFailure? {
    bytes.withUnsafeBytes { bytes in
      do throws(SpoolFailure) {
        try spool.append(bytes, limit: limit) { () throws(SpoolFailure) in
          try SpoolFile(file ?? SharedMemory.makeFile(size: 200_000), SpoolSpace(seat, row, limit: spoolLimit))
        }
        return nil
      } catch {
        return error
      }
    }
  }

  @Test func bytesComeOutAsTheyWentIn() throws {
    var random = Dice(state: 1)
    var spool = ResponseSpool()
    let limit = 200_000
    var (written, read): (UInt32, UInt32) = (0, 0)
    // Numbers, so that each byte of several megabytes is known; pieces of every size go round the file's ring many times.
    func numbers(_ count: Int, from first: UInt32) -> [UInt8] {
      (0..<count).flatMap { number in withUnsafeBytes(of: first &+ UInt32(number)) { Array($0) } }
    }
    while written < 2_000_000 {
      let room = (limit - spool.count) / 4
      let count = min(Int(random.next() % 20_000), room)
      let failure = append(numbers(count, from: written), to: &spool, limit: limit)
      try #require(failure == nil)
      written += UInt32(count)
      var wanted = Int(random.next() % 20_000)
      while wanted > 0, !spool.isEmpty {
        let piece = try spool.first(wanted * 4)
        let whole = piece.count / 4
        #expect(Array(piece.prefix(whole * 4)) == numbers(whole, from: read))
        spool.drop(whole * 4)
        read += UInt32(whole)
        wanted -= whole
      }
    }
    let left = spool.count
    #expect(left == Int(written - read) * 4)
    spool.reset()
    let isGone = spool.isEmpty && !spool.isUsed
    #expect(isGone)
  }

  @Test func nothingIsKeptWhereTheFileFails() {
    var spool = ResponseSpool()
    let bytes = [UInt8](repeating: 7, count: ResponseSpool.inMemory)
    let first = append(bytes, to: &spool, limit: 1 << 20, file: -ENOSPC)
    let second = append(bytes, to: &spool, limit: 1 << 20, file: -ENOSPC)
    let count = spool.count
    #expect(first == nil && second == .system(errno: ENOSPC) && count == bytes.count)
  }

  @Test func aLimitOnTheRoomOfTheGroupHolds() {
    var spool = ResponseSpool()
    let bytes = [UInt8](repeating: 7, count: ResponseSpool.inMemory)
    let failures = (0..<4).map { _ in append(bytes, to: &spool, limit: 1 << 20, spoolLimit: 2 * bytes.count) }
    let count = spool.count
    #expect(failures == [nil, nil, nil, .limit(.group)] && count == 3 * bytes.count)
  }

  @Test func whatCannotBeReadIsSaid() throws {
    var spool = ResponseSpool()
    let bytes = [UInt8](repeating: 7, count: 2 * ResponseSpool.inMemory)
    var name = Array("/tmp/spool.XXXXXX".utf8CString)
    let made = mkstemp(&name)
    let file = open(name, O_WRONLY | O_CLOEXEC)
    close(made)
    unlink(name)
    #expect(append(bytes, to: &spool, limit: 1 << 20, file: file) == nil)
    _ = try spool.first(.max)
    spool.drop(ResponseSpool.inMemory)
    var failure: SpoolFailure?
    do throws(SpoolFailure) { _ = try spool.first(.max) } catch { failure = error }
    #expect(failure == .unreadable(errno: EBADF))
  }
}
