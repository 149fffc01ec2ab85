import Testing

@testable import WSGIMeasurement

@Suite struct SlowRequestTests {
  private func identity(_ values: [String: String], agent: Bool = false) -> RequestIdentity {
    let words = WatchedWords(count: RequestIdentity.wordCount + 1)
    words.update {
      RequestIdentity.write(to: words, at: 1, agent: agent) { key in
        values["\(key)"].map { text in
          let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
          copy.copyBytes(from: text.utf8)
          return UnsafeRawBufferPointer(copy)
        }
      }
    }
    return RequestIdentity(words.snapshot(), at: 1)
  }

  @Test func identities() {
    let long = String(repeating: "x", count: 600)
    let found = identity([
      "REQUEST_METHOD": "GET", "mod_wsgi.script_name": "/app", "mod_wsgi.path_info": "/" + long,
      "mod_wsgi.server_pid": "4711", "HTTP_USER_AGENT": "curl",
    ])
    #expect(found[.method] == Array("GET".utf8) && found.serverPID == 4711 && found[.peer].isEmpty)
    #expect(found[.pathInfo].count == 511 && found[.pathInfo].suffix(4) == Array("x...".utf8))
    #expect(found[.userAgent].isEmpty)
    #expect(found.path.hasPrefix("/app/xxx"))
    #expect(identity(["HTTP_USER_AGENT": "curl"], agent: true)[.userAgent] == Array("curl".utf8))
    #expect(RequestIdentity([0, 0], at: 0)[.method].isEmpty)
  }

  @Test(arguments: [(1, 1.0, 10.0, 32), (15, 1.0, 1.0, 75), (15, 10.0, 0.5, 1500), (1000, 60.0, 0.1, 4096)])
  func capacities(threads: Int, interval: Double, threshold: Double, capacity: Int) {
    #expect(SlowRequests.capacity(threads: threads, interval: interval, threshold: threshold) == capacity)
  }

  @Test func theOldestGiveWay() {
    let slow = SlowRequests(threshold: 1, capturesUserAgent: false, capacity: 3)
    for thread in 0..<5 {
      slow.add(
        SlowRequest(
          start: 0, thread: thread, ticket: 0, identity: RequestIdentity([], at: 0), totals: RequestTotals(),
          activeAtStart: 1))
    }
    #expect(slow.drain().map { $0.thread } == [2, 3, 4])
    #expect(slow.drain().isEmpty)
  }

  @Test(arguments: [(0, "0.000"), (1_234_567, "1.234"), (60_000_000, "60.000"), (-5, "0.000")])
  func times(microseconds: Int64, text: String) { #expect(SlowRequest.text(microseconds) == text) }

  @Test func stages() {
    let stages: [RequestPhase] = [.server, .queue, .daemon, .application, .request]
    var daemon = RequestTotals()
    daemon.setStages(
      requestStart: 100, queueStart: 110, isDaemon: true, start: 130, applicationStart: 170, applicationFinish: 250)
    #expect(stages.map { daemon[$0] } == [10000, 20000, 40000, 80000, 150000])
    var embedded = RequestTotals()
    embedded.setStages(
      requestStart: 100, queueStart: 0, isDaemon: false, start: 130, applicationStart: 170, applicationFinish: 160)
    #expect(stages.map { embedded[$0] } == [70000, 0, 0, 0, 70000])
  }
}
