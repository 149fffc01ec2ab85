import Synchronization
import Testing
import WSGICore

@testable import RequestCounting

/// Which requests are in flight: what the client wrote, as far as there is room.
@Suite struct RequestLabelTests {
  private func shown(_ method: [UInt8]?, _ path: [UInt8]?) throws -> RequestLabel.Copy? {
    let book = try #require(RequestBook(rows: 1, children: 1, threads: 1))
    defer { book.unmap() }
    let row = try #require(book.row(0))
    let seat = book.takeSeat(pid: 10)
    func withC<R>(_ bytes: [UInt8]?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
      guard let bytes else { return body(nil) }
      return (bytes.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { body($0.baseAddress) }
    }
    let ticket = withC(method) { method in
      withC(path) { path in seat.begin(row, key: 16, started: 1_000_000, RequestLabel(method: method, path: path)) }
    }
    let found = book.children().first?.inFlight.first?.label
    seat.end(ticket, status: 200, cause: nil, microseconds: 1, now: 2_000_000, isEmbedded: false)
    #expect(book.children().first?.inFlight == [])
    return found
  }

  @Test func aRequestIsToldByItsMethodAndPath() throws {
    #expect(try shown(Array("GET".utf8), Array("/a/b".utf8)) == .init(method: Array("GET".utf8), path: Array("/a/b".utf8)))
    #expect(try shown(Array("DELETE".utf8), nil) == .init(method: Array("DELETE".utf8), path: nil))
    #expect(try shown(nil, []) == .init(method: [], path: []))
  }

  /// Every byte is kept as it is: it is for those who show it to escape it.
  @Test(arguments: [1, 7, 8, 9, 15, 16, 231, 232]) func whatFitsIsWhole(length: Int) throws {
    let path = (0..<length).map { UInt8($0 % 255 + 1) }
    #expect(try shown(Array("GET".utf8), path)?.path == path)
    #expect(try shown(Array("GET".utf8), path)?.isCut == false)
  }

  @Test(arguments: [233, 234, 8190, 100_000]) func whatDoesNotFitIsCut(length: Int) throws {
    let found = try #require(try shown([UInt8](repeating: 0x58, count: length), [UInt8](repeating: 0xFF, count: length)))
    #expect(found.method == [UInt8](repeating: 0x58, count: RequestLabel.methodLimit))
    #expect(found.path == [UInt8](repeating: 0xFF, count: RequestLabel.pathLimit) && found.isCut)
  }

  /// A path of one virtual host is not shown for a request of another, which withholds its own.
  @Test func nothingIsLeftOfTheRequestBefore() throws {
    let book = try #require(RequestBook(rows: 1, children: 1, threads: 1))
    defer { book.unmap() }
    let row = try #require(book.row(0))
    let seat = book.takeSeat(pid: 10)
    let path = "/secret/of/another".utf8CString
    let first = path.withUnsafeBufferPointer {
      seat.begin(row, key: 16, started: 1000, RequestLabel(method: nil, path: $0.baseAddress))
    }
    seat.end(first, status: 200, cause: nil, microseconds: 1, now: 2, isEmbedded: false)
    _ = seat.begin(row, key: 16, started: 1000, RequestLabel(method: nil, path: nil))
    #expect(book.children().first?.inFlight.first?.label == .init(method: [], path: nil))
  }

  @Test func lengthsThatOthersWroteReachNoFurtherThanThePlace() {
    let words = RequestBook.words(RequestLabel.words)
    for header in [-1, Int.max, 0xFFFFFF, 0xFF_FF01, 0x100] {
      words.pointee.store(header, ordering: .relaxed)
      let found = RequestLabel.read(words)
      #expect(found.map { $0.method.count <= RequestLabel.methodLimit } ?? true)
      #expect(found?.path.map { $0.count <= RequestLabel.pathLimit } ?? true)
    }
  }
}
