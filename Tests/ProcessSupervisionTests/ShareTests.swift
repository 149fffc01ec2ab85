import CPosix
import Glibc
import Testing
import WSGICore

@testable import ProcessSupervision

/// What a group may take of the supervisor's time and memory.
@Suite struct ShareTests {
  @Test func startsArePaced() {
    var pace = StartPace(processes: 1)
    var announced = (0..<22).map { _ in pace.take(now: 1_000_000) }
    #expect(pace.notBefore == 0 && !pace.isLimiting)
    // The next ones wait, and this is said once.
    announced.append(pace.take(now: 1_000_000))
    #expect(pace.notBefore == 1_500_000)
    announced.append(pace.take(now: 1_000_000))
    #expect(pace.notBefore == 2_000_000)
    // However many end together, nobody waits for longer than it takes to earn what may be owed.
    for _ in 0..<1_000 { announced.append(pace.take(now: 1_000_000)) }
    #expect(pace.notBefore == 12_000_000)
    #expect(announced.count { $0 } == 1 && announced[22])
    // After a time all is forgotten.
    announced.append(pace.take(now: 60_000_000))
    #expect(pace.notBefore < 60_000_000 && !pace.isLimiting)
  }

  @Test func whatEndsYoungInGoodOrderIsPaced() throws {
    let start = ContinuousClock.now
    let it = try SupervisionCase([.init("hasty", "ready leave"), .init("well", "serve")])
    func ends() -> Int { it.log.count { $0.contains("process group 'hasty' exited (maximum_requests)") } }
    // A busy machine may start no more than two a second, and then there is nothing to pace.
    wait("the pace is set", seconds: 120) { it.hasLogged("WSGI0662") || ends() > 60 }
    let isPaced = it.hasLogged("WSGI0662")
    // 22 at once, two for each second that they took, and one a second that was no longer young; the last two are on their way.
    let most = 22 + 3 * Int((ContinuousClock.now - start).components.seconds + 1) + 2
    #expect(!isPaced || ends() <= most)
    #expect(!isPaced || it.log.count { $0.contains("WSGI0662") } == 1)
    wait("it goes on nevertheless") { ends() >= 25 }
    wait("the other group") { it.ready(1) == 1 }
    it.finish()
  }

  @Test func aCrashOfAProcessThatHadAnsweredIsMendedAtOnce() throws {
    let it = try SupervisionCase([.init("g", "serve")])
    wait("ready") { it.ready() == 1 }
    it.send("answered")
    wait("it is known") { it.hasLogged("settled") }
    it.send("exit 5")
    wait("the end") { it.hasLogged("exited with code 5") }
    #expect(it.log.contains { $0.contains("exited with code 5") && $0.hasSuffix("Starting a replacement.") })
    it.finish()
  }

  @Test func aReloadRemembersSoManyScripts() throws {
    let it = try SupervisionCase([.init("g", "noload serve", processes: 2)])
    wait("ready") { it.ready() == 2 }
    for number in 0..<600 { it.send("changed script\(number) \(it.scratch.file("never"))") }
    wait("the other process hears of them") { it.hasLogged("reloading:") }
    wait("all are dealt with") { it.log.count { $0.hasPrefix("candidate:") } > 0 && it.servingPid() != nil }
    it.finish()
    // Each of the two processes says so of each.
    #expect(Set(it.log.filter { $0.hasPrefix("reloading:") }).count <= 256)
  }

  @Test func theOutputOfAGroupsEndedProcessesIsItsOwn() throws {
    let plans = ["a", "b"].map {
      GroupPlan(
        name: $0, processes: 1, settings: WorkerSettings(), program: [], arguments: [], environment: [])
    }
    let store = try #require(DescriptorStore.make(capacity: 10))
    var commands: [Int32] = [-1, -1]
    try #require(wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &commands) == 0)
    let supervisor = Supervisor(
      groups: plans, memory: try #require(ScoreboardMemory.make(processes: [1, 1])), store: store, commands: commands[1],
      parent: getppid(),
      callbacks: SupervisorCallbacks(log: { _ in }))
    var writers: [Int32] = []
    func leave(_ group: Int) throws {
      var ends: [Int32] = [-1, -1]
      try #require(wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) == 0)
      writers.append(ends[1])
      supervisor.leave(WorkerOutput(group: supervisor.groups[group], pid: 1, descriptor: ends[0]))
    }
    try leave(1)
    for _ in 0..<100 { try leave(0) }
    #expect(send(writers[0], "x", 1, Int32(MSG_NOSIGNAL)) == 1)
    // Until they execute their program, processes that other tests start have all that is open here.
    wait("the oldest is given up") { send(writers[1], "x", 1, Int32(MSG_NOSIGNAL)) == -1 && errno == EPIPE }
    #expect(send(writers[100], "x", 1, Int32(MSG_NOSIGNAL)) == 1)
    for end in writers + commands { close(end) }
    store.closeAll()
  }

  @Test func aProcessThatTakesNothingDoesNotKeepItsGeneration() throws {
    var group = SupervisionCase.Group("g", "serve")
    group.settings.shutdownTimeout = 200
    let it = try SupervisionCase([group])
    wait("ready") { it.ready() == 1 }
    let pid = try #require(it.pids().first)
    kill(pid, SIGSTOP)
    it.send("note \(it.scratch.file("never"))")
    it.closeQueues()
    wait("all is over") { it.isFinished }
    #expect(it.hasLogged("WSGI0663"))
    #expect(!isAlive(pid))
    it.finish()
  }
}
