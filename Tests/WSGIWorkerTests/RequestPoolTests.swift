import CPosix
import DaemonTransport
import Glibc
import Platform
import ProcessSupervision
import Testing
import WSGICore

@testable import WSGIWorker

@Suite(.serialized) struct RequestPoolTests {
  private typealias Answer = TestClients.Answer

  /// The handlers belong to the process; a thread can be called out of its wait only with them.
  init() {
    var ends: [Int32] = [-1, -1]
    #expect(wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) == 0)
    #expect(wsgi_posix_catch_signals(ends[1]) == 0)
  }

  @Test func requestsAreAnsweredAsTheEngineSays() throws {
    let queue = try RequestQueue(backlog: 100)
    let worker = try TestWorker(queue)
    let clients = TestClients(queue)
    #expect(clients.run("hello") == Answer(outcome: .done, body: "hello"))
    #expect(clients.run("fail") == Answer(outcome: .failed(.answered(status: 503))))
    #expect(clients.run("abort") == Answer(outcome: .cut(.aborted), body: "abort"))
    #expect(clients.run("log") == Answer(outcome: .done, body: "log", logs: ["said"]))
    worker.pool.stop(.shutdownSignal)
    #expect(worker.hasEnded())
  }

  @Test func theWholeCapacityIsUsed() throws {
    let queue = try RequestQueue(backlog: 100)
    let worker = try TestWorker(queue)
    let clients = TestClients(queue)
    clients.start("wait", count: 9)
    for expected in [4, 4, 1] {
      #expect(FakeEngine.gate.await(expected))
      FakeEngine.gate.letAllPass()
    }
    #expect(clients.finish() == [Answer](repeating: Answer(outcome: .done, body: "wait"), count: 9))
    worker.pool.stop(.shutdownSignal)
    #expect(worker.hasEnded())
  }

  @Test func manyRequestsFromManyThreadsAllGetTheirAnswer() throws {
    let queue = try RequestQueue(backlog: 100)
    let workers = [try TestWorker(queue), try TestWorker(queue)]
    let clients = TestClients(queue)
    for _ in 0..<20 { clients.start("hello", count: 10) }
    #expect(clients.finish() == [Answer](repeating: Answer(outcome: .done, body: "hello"), count: 200))
    for worker in workers { worker.pool.stop(.shutdownSignal) }
    for worker in workers { #expect(worker.hasEnded()) }
  }

  @Test func drainingFinishesWhatRunsAndTakesNothingNew() throws {
    let queue = try RequestQueue(backlog: 100)
    let worker = try TestWorker(queue)
    let clients = TestClients(queue)
    clients.start("wait", count: 2)
    #expect(FakeEngine.gate.await(2))
    worker.pool.drain(.gracefulSignal)
    #expect(worker.heard(until: .draining(.gracefulSignal)) == [.draining(.gracefulSignal)])
    #expect(worker.pool.lifecycle.phase == .draining)
    // A request that comes now waits for another process.
    clients.start("hello")
    FakeEngine.gate.letAllPass()
    worker.stopped.wait(while: 0, milliseconds: 60_000)
    #expect(worker.pool.lifecycle.phase == .stopping)
    #expect(worker.hasEnded())
    let next = try TestWorker(queue)
    #expect(clients.finish().count == 3)
    #expect(clients.finish().allSatisfy { $0.outcome == .done })
    next.pool.stop(.shutdownSignal)
    #expect(next.hasEnded())
  }

  @Test func theEndOfTheQueueEndsTheProcess() throws {
    let worker: TestWorker
    do {
      let queue = try RequestQueue(backlog: 100)
      worker = try TestWorker(queue)
      #expect(TestClients(queue).run("hello").outcome == .done)
    }
    worker.stopped.wait(while: 0, milliseconds: 60_000)
    #expect(worker.pool.lifecycle.reason == .shutdownSignal)
    #expect(worker.hasEnded())
  }

  @Test func maximumRequestsEndsTheProcessAndLosesNone() throws {
    let queue = try RequestQueue(backlog: 100)
    let clients = TestClients(queue)
    clients.start("hello", count: 9)
    for _ in 0..<2 {
      let worker = try TestWorker(queue) { ($0.maximumRequests, $0.threads) = (3, 1) }
      worker.stopped.wait(while: 0, milliseconds: 60_000)
      #expect(worker.pool.lifecycle.reason == .maximumRequests)
      #expect(worker.hasEnded())
    }
    let last = try TestWorker(queue)
    #expect(clients.finish() == [Answer](repeating: Answer(outcome: .done, body: "hello"), count: 9))
    last.pool.stop(.shutdownSignal)
    #expect(last.hasEnded())
  }

  @Test func requestsThatWaitedTooLongAreNotRun() throws {
    let queue = try RequestQueue(backlog: 100)
    let worker = try TestWorker(queue) { $0.queueTimeout = 1000 }
    let clients = TestClients(queue)
    let late = clients.run("hello", requestStart: Clock.epochMicroseconds() - 2_000_000)
    #expect(late.outcome == .failed(.answered(status: 504)))
    #expect(late.logs.count == 1)
    #expect(late.logs.first?.hasPrefix("WSGI0084: ") == true)
    #expect(clients.run("hello", requestStart: Clock.epochMicroseconds()).outcome == .done)
    worker.pool.stop(.shutdownSignal)
    #expect(worker.hasEnded())
  }

  // MARK: reload

  private let change = ScriptChange(script: Array("/srv/app.wsgi".utf8), applicationGroup: [], modified: 0)

  @Test func aRequestThatFindsAChangeGoesToTheProcessWithTheNewCode() throws {
    let queue = try RequestQueue(backlog: 100)
    let old = try TestWorker(queue)
    let clients = TestClients(queue)
    clients.start("stale")
    #expect(old.heard(until: .reloadWanted(change)) == [.reloadWanted(change)])
    // Others run with the code that is here.
    #expect(clients.run("stale") == Answer(outcome: .done, body: "stale"))
    // The new process reads what is handed over to its end before anything else.
    let handed = try RequestQueue(backlog: 10)
    let candidate = try TestWorker(queue, starts: false)
    candidate.pool.election.add(dup(handed.readEnd.number))
    candidate.pool.reloads.isBeingReloaded(change)
    old.pool.handOver(to: dup(handed.writeEnd.number))
    _ = consume handed
    old.pool.drain(.scriptReload)
    #expect(old.hasEnded())
    #expect(candidate.pool.start())
    #expect(clients.finish() == [Answer(outcome: .done, body: "stale")])
    #expect(clients.run("hello").outcome == .done)
    candidate.pool.stop(.shutdownSignal)
    #expect(candidate.hasEnded())
  }

  @Test func aCandidateThatIsNotWantedAnswersWhatItWasGiven() throws {
    let queue = try RequestQueue(backlog: 100)
    let handed = try RequestQueue(backlog: 10)
    let candidate = try TestWorker(queue, starts: false)
    candidate.pool.election.add(dup(handed.readEnd.number))
    let clients = TestClients(handed)
    clients.start("hello")
    candidate.pool.drain(.scriptReload)
    #expect(candidate.pool.lifecycle.phase == .draining)
    #expect(candidate.pool.start())
    #expect(clients.finish() == [Answer(outcome: .done, body: "hello")])
    _ = consume handed
    candidate.stopped.wait(while: 0, milliseconds: 60_000)
    #expect(candidate.pool.lifecycle.reason == .scriptReload)
    #expect(candidate.hasEnded())
  }

  @Test func withoutNewCodeTheRequestGoesBackToTheQueue() throws {
    let queue = try RequestQueue(backlog: 100)
    let old = try TestWorker(queue)
    let clients = TestClients(queue)
    clients.start("stale")
    #expect(old.heard(until: .reloadWanted(change)) == [.reloadWanted(change)])
    // Another supervisor knows nothing of it.
    old.pool.askAgain()
    #expect(old.heard(until: .reloadWanted(change)).last == .reloadWanted(change))
    old.pool.drain(.scriptReload)
    #expect(old.hasEnded())
    let next = try TestWorker(queue, starts: false)
    next.pool.reloads.isBeingReloaded(change)
    #expect(next.pool.start())
    // Handed back by the old process once or, where it was draining already, twice.
    let answers = clients.finish()
    #expect(answers.map(\.outcome) == [.done] && answers.map(\.body) == ["stale"])
    #expect(answers.allSatisfy { (2...3).contains($0.attempts) })
    next.pool.stop(.shutdownSignal)
    #expect(next.hasEnded())
  }

  @Test func codeThatWasRefusedIsTriedAgainWhenItChanges() throws {
    let queue = try RequestQueue(backlog: 100)
    let worker = try TestWorker(queue)
    let clients = TestClients(queue)
    worker.pool.keepCode(ScriptChange(script: change.script, applicationGroup: [], modified: 7))
    #expect(clients.run("stale", modified: 7).outcome == .done)
    #expect(worker.heard(until: .answered) == [.answered])
    clients.start("stale")
    #expect(worker.heard(until: .reloadWanted(change)) == [.reloadWanted(change)])
    // What waited for the change is run with the code that is here.
    worker.pool.keepCode(change)
    #expect(clients.finish() == [Answer(outcome: .done, body: "stale", attempts: 2)])
    worker.pool.stop(.shutdownSignal)
    #expect(worker.hasEnded())
  }
}
