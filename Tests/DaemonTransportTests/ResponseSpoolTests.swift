import Glibc
import Platform
import Testing

@testable import DaemonTransport

/// What a slow client has not taken, in memory and in a file.
@Suite struct ResponseSpoolTests {
  private static func makeFile() -> Int32 { SharedMemory.makeFile(size: 200_000) }

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
      let failure = numbers(count, from: written).withUnsafeBytes {
        spool.append($0, limit: limit) { ResponseSpoolTests.makeFile() }
      }
      try #require(failure == 0)
      written += UInt32(count)
      var wanted = Int(random.next() % 20_000)
      while wanted > 0, !spool.isEmpty {
        guard let piece = spool.first(wanted * 4) else {
          Issue.record("the file cannot be read")
          return
        }
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
    let first = bytes.withUnsafeBytes { spool.append($0, limit: 1 << 20) { -ENOSPC } }
    let second = bytes.withUnsafeBytes { spool.append($0, limit: 1 << 20) { -ENOSPC } }
    let count = spool.count
    #expect(first == 0 && second == ENOSPC && count == bytes.count)
  }
}
