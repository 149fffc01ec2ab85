import Testing
import WSGICore

@testable import WSGIMeasurement

@Suite struct ServerMetricsTests {
  static func pairs(_ items: [(String, String)]) -> [UInt8] {
    var writer = FlatWriter()
    writer.append(UInt32(items.count))
    for (key, value) in items { writer.appendPair(key, value) }
    return Array(writer.bytes)
  }

  static let example = pairs([
    ("server", "2 2 3 1000000"), ("process", "77 3 1"),
    ("worker", "W 3 12 3456 1500000 1600000 1700000\t10.0.0.1\texample.com:80\tGET /a\tb HTTP/1.1"), ("worker", ""),
    ("process", "0 0 0"), ("worker", ""), ("worker", ""), ("later", "unknown"),
  ])

  @Test func decoding() throws {
    let metrics = try ServerMetrics(decoding: ServerMetricsTests.example)
    #expect(metrics.serverLimit == 2 && metrics.threadLimit == 2 && metrics.generation == 3)
    #expect(metrics.restartTime == 1_000_000 && metrics.processes.count == 2)
    #expect(metrics.processes[0].pid == 77 && metrics.processes[0].isQuiescing && !metrics.processes[1].isQuiescing)
    let worker = metrics.processes[0].workers[0]
    #expect(worker.status == "W" && worker.accessCount == 12 && worker.bytesServed == 3456 && worker.lastUsed == 1_700_000)
    #expect(worker.client == Array("10.0.0.1".utf8) && worker.request == Array("GET /a\tb HTTP/1.1".utf8))
    #expect(worker.vhost == Array("example.com:80".utf8))
    #expect(metrics.processes.map { $0.workers.count } == [2, 2])
    #expect(metrics.processes[1].workers[1] == ServerMetrics.WorkerScore())
  }

  @Test func nonsense() {
    #expect(throws: FlatFailure.self) { try ServerMetrics(decoding: ServerMetricsTests.pairs([("worker", "")])) }
    #expect(throws: FlatFailure.truncated) { try ServerMetrics(decoding: [1, 0, 0, 0, 9]) }
    let odd = ServerMetricsTests.pairs([("server", "x"), ("process", ""), ("worker", "?")])
    #expect((try? ServerMetrics(decoding: odd))?.processes.first?.workers.first?.status == "?")
  }
}
