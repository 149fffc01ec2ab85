import CPosix
import ProcessSupervision
import Testing
import WSGICore

@testable import WSGIWorker

@Suite struct InFlightTests {
  private func begin(_ inFlight: InFlight, _ thread: Int, _ number: UInt64, _ id: String) -> UInt64 {
    Array(id.utf8).withUnsafeBytes { inFlight.begin(thread, number: number, id: $0, head: $0, now: 5) }
  }

  @Test func eachRequestHasItsID() throws {
    let inFlight = InFlight(count: 2)
    let tickets = [begin(inFlight, 0, 1, "aSfh2wABAAE"), begin(inFlight, 1, 1, "")]
    let requests = inFlight.requests
    #expect(requests.map(\.ticket) == tickets)
    #expect(requests.map { inFlight.id(of: $0) } == ["aSfh2wABAAE", nil])
  }

  @Test func aLongIDIsCut() {
    let inFlight = InFlight(count: 1)
    _ = begin(inFlight, 0, 1, String(repeating: "x", count: 500))
    #expect(inFlight.id(of: inFlight.requests[0]) == String(repeating: "x", count: 56))
  }

  @Test func whatHasEndedIsNotTakenForWhatCameAfterIt() {
    let inFlight = InFlight(count: 1)
    _ = begin(inFlight, 0, 1, "first")
    let first = inFlight.requests[0]
    inFlight.end(0)
    #expect(inFlight.id(of: first) == nil)
    _ = begin(inFlight, 0, 2, "second")
    #expect(inFlight.id(of: first) == nil)
    #expect(inFlight.id(of: inFlight.requests[0]) == "second")
  }

  // MARK: what heads say

  private func head(
    _ pairs: [(String, String)], flags: RequestHead.Flags = [], _ body: (UnsafeRawBufferPointer) -> Void
  ) {
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    var writer = RequestHeadWriter()
    writer.begin(
      flags: flags, contentLength: -1, scriptModified: 0, requestStart: 0, processGroup: none, applicationGroup: none,
      script: none, callable: none)
    for (key, value) in pairs { writer.writer.appendPair(key, value) }
    body(writer.finish(pairs: pairs.count))
  }

  private func begin(_ inFlight: InFlight, _ thread: Int, _ head: UnsafeRawBufferPointer) {
    _ = inFlight.begin(thread, number: 1, id: UnsafeRawBufferPointer(start: nil, count: 0), head: head, now: 5)
  }

  @Test func currentRequestsAreThoseOfTheHeads() throws {
    let inFlight = InFlight(count: 2)
    inFlight.setThread(1, 4711)
    let pairs = [
      ("mod_wsgi.request_id", "aSfh2wABAAE"), ("QUERY_STRING", "secret"), ("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/shop"),
      ("PATH_INFO", "/early"), ("PATH_INFO", "/a b"),
    ]
    head(pairs) { head in
      begin(inFlight, 1, head)
      var expected = CurrentRequest()
      expected.method = Array("POST".utf8)
      "/shop/a b".utf8CString.withUnsafeBytes { expected.setPath([UnsafeRawBufferPointer(rebasing: $0.dropLast())]) }
      expected.thread = 4711
      expected.id = Array("aSfh2wABAAE".utf8)
      let found = inFlight.current
      #expect(found.count == 1 && (found.first?.age ?? -1) >= 0)
      expected.age = found.first?.age ?? 0
      #expect(found == [expected])
    }
    inFlight.end(1)
    #expect(inFlight.current.isEmpty)
  }

  @Test func aHeadRequestIsOneWhateverTheApplicationIsTold() {
    let inFlight = InFlight(count: 1)
    head([("REQUEST_METHOD", "GET")], flags: .isHead) { head in
      begin(inFlight, 0, head)
      #expect(inFlight.current.map(\.method) == [Array("HEAD".utf8)])
    }
  }

  @Test func memoryThatIsNoHeadHarmsNobody() {
    let inFlight = InFlight(count: 3)
    begin(inFlight, 0, UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: 16), count: 1000))
    begin(inFlight, 1, UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: 16), count: .max))
    Array("no head".utf8).withUnsafeBytes { bytes in
      begin(inFlight, 2, bytes)
      #expect(inFlight.current.map(\.method) == [[], [], []])
    }
  }
}
