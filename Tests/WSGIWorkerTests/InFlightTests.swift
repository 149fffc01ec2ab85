import Testing

@testable import WSGIWorker

@Suite struct InFlightTests {
  private func begin(_ inFlight: InFlight, _ thread: Int, _ number: UInt64, _ id: String) -> UInt64 {
    Array(id.utf8).withUnsafeBytes { inFlight.begin(thread, number: number, id: $0, now: 5) }
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
}
