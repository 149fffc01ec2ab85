import ProcessSupervision
import Testing

@testable import DaemonTransport
@testable import WSGIWorker

@Suite struct ReloadsTests {
  /// Threads that find it at the same time, or shortly after the answer: the supervisor is asked once.
  @Test func aChangeIsAskedForOnce() throws {
    let queue = try RequestQueue(backlog: 100)
    let worker = try TestWorker(queue, starts: false)
    let reloads = worker.pool.reloads
    func change(_ modified: Int64) -> ScriptChange {
      ScriptChange(script: Array("/srv/app.wsgi".utf8), applicationGroup: [], modified: modified)
    }
    func keep(_ modified: Int64) -> Reloads.Verdict {
      reloads.keep(.init(change: change(modified), channel: -1, envelope: QueueEnvelope(), head: []), worker.pool.control)
    }
    #expect(keep(1) == .kept)
    #expect(keep(1) == .foundBefore && keep(2) == .foundBefore)
    #expect(reloads.wasRefused(change(1)).count == 1)
    #expect(keep(1) == .foundBefore)
    #expect(keep(2) == .kept)
    worker.pool.stop(.shutdownSignal)
  }
}
