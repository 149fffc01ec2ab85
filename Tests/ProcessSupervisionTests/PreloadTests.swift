import CPosix
import Glibc
import Platform
import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct PreloadTests {
  private func group(_ way: String, processes: Int = 1) -> SupervisionCase.Group {
    var group = SupervisionCase.Group("g", "preload=\(way) serve", processes: processes)
    group.preloads = true
    return group
  }

  @Test func workersAreForksOfTheirPreloader() throws {
    let it = try SupervisionCase([group("fork", processes: 2), .init("other", "serve")])
    wait("ready") { it.ready(0) == 2 && it.ready(1) == 1 }
    let preloader = try #require(it.board().preloaders.first)
    #expect(it.board().preloaders.count == 1 && preloader.hasLoaded && !it.pids().contains(preloader.pid))
    #expect(it.board(1).preloaders.isEmpty)
    // Orphans are the supervisor's, which learns how they end.
    let worker = try #require(it.servingPid())
    #expect(status(of: worker)["PPid"] == "\(getpid())")
    kill(worker, SIGKILL)
    wait("its end and a replacement") { it.hasLogged("WSGI0451: The process \(worker)") && it.isServed(by: 2, without: [worker]) }
    #expect(it.board().preloaders.map(\.pid) == [preloader.pid])
    kill(preloader.pid, SIGKILL)
    wait("another preloader") { it.board().preloaders.contains { $0.hasLoaded && $0.pid != preloader.pid } }
    #expect(it.hasLogged("WSGI0713") && it.isServed(by: 2, without: [worker]))
    it.finish()
  }

  @Test func aChangedScriptIsLoadedByAnotherPreloaderFirst() throws {
    let it = try SupervisionCase([group("fork")])
    wait("ready") { it.ready() == 1 }
    let old = it.board().preloaders.map(\.pid)
    let answer = it.scratch.file("answer")
    it.send("changed /srv/a.wsgi \(answer)")
    wait("the answer") { contents(answer) != nil }
    wait("one preloader, another") { it.board().preloaders.count == 1 && it.board().preloaders.map(\.pid) != old }
    it.finish()
  }

  @Test func oneThatRefusesIsTriedAgain() throws {
    let it = try SupervisionCase([group("refuse")])
    wait("it is said") { it.hasLogged("WSGI0715: The preloader (process ") }
    let preloader = it.board().preloaders
    #expect(it.pids().isEmpty && preloader.count == 1)
    wait("once more") { it.log.count { $0.contains("WSGI0715") } > 1 }
    #expect(it.board().preloaders == preloader)
    it.finish()
  }

  @Test(arguments: [
    ("\(WorkerExit.scriptFailed.rawValue)", "WSGI0716"), ("\(WorkerExit.notForkable.rawValue)", nil), ("lie", "WSGI0717"),
    ("wait", "WSGI0714"),
  ])
  func whereItIsOfNoUseProcessesStartAsElsewhere(_ way: String, _ number: String?) throws {
    let it = try SupervisionCase([group(way)])
    wait("ready", seconds: 40) { it.ready() == 1 }
    if let number { #expect(it.hasLogged("\(number): ")) }
    wait("the preloader's end") { it.board().preloaders.isEmpty }
    it.finish()
  }

  @Test func oneThatLoadsForLongIsReported() throws {
    let it = try SupervisionCase([group("load"), .init("other", "serve")])
    wait("it is said", seconds: 60) { it.hasLogged("WSGI0719: The preloader (process ") }
    #expect(it.board().preloaders.map(\.hasLoaded) == [false])
    wait("the other group") { it.ready(1) == 1 }
    it.finish()
  }

  @Test func aForkOutlivesItsPreloaderThatEndsBeforeItIsHeardOf() throws {
    let it = try SupervisionCase([group("die")])
    wait("ready") { it.ready() == 1 }
    let worker = try #require(it.servingPid())
    wait("another preloader") { it.board().preloaders.contains(where: \.hasLoaded) }
    #expect(it.log.count { $0.hasPrefix("WSGI0713") } == 1 && it.servingPid() == worker)
    it.finish()
  }

  @Test func oneThatEndsBeforeItForksIsNotWaitedFor() throws {
    let it = try SupervisionCase([group("quit")])
    wait("another, and another") { it.log.count { $0.hasPrefix("WSGI0713") } > 1 }
    #expect(!it.hasLogged("WSGI0714"))
    it.finish()
  }

  // MARK: orders

  /// Unpacks in a process of its own, whose descriptors are as those of a worker.
  @Test func anOrderHasAllDescriptorsOrNone() throws {
    let count = Int(WSGI_POSIX_LAST_DESCRIPTOR) + 1
    var pipes: [[Int32]] = []
    for _ in 0..<count {
      var ends: [Int32] = [-1, -1]
      try #require(wsgi_posix_output_pipe(&ends) == 0)
      pipes.append(ends)
    }
    defer { for end in pipes.flatMap(\.self) { close(end) } }
    let parcel = ForkOrder.pack(pipes.map { $0[1] })
    try #require(parcel >= 0)
    #expect(try probeOutput("unpack", input: parcel).isEmpty)
    close(parcel)
    for place in 2..<count {
      var byte: UInt8 = 0
      #expect(read(pipes[place][0], &byte, 1) == 1 && byte == UInt8(place))
    }
  }

  @Test func anOrderThatLacksSomeIsNone() throws {
    var pair: [Int32] = [-1, -1]
    try #require(wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &pair) == 0)
    var byte: UInt8 = 0
    #expect(send(pair[0], &byte, 1, Int32(MSG_NOSIGNAL)) == 1)
    #expect(!ForkOrder.unpack(pair[1]))
    close(pair[0])
    close(pair[1])
  }
}

@Suite struct AskPaceTests {
  @Test func aChildThatRingsIsNotHeardAllTheTime() {
    var pace = AskPace(lanes: 1)
    let heard = (0..<100_000).count { _ in pace.mayLook(now: 5_000_000) }
    #expect(heard == 1_000)
    let isEarly = pace.takeDue(now: 5_000_000)
    let due = pace.due
    #expect(due > 5_000_000 && !isEarly)
    let isDue = pace.takeDue(now: due)
    #expect(isDue && pace.due == .max)
  }

  @Test func aLaneHasItsTurnsAndOthersHaveTheirs() {
    var pace = AskPace(lanes: 2)
    let taken = (1...10_000 as ClosedRange<UInt64>).count { pace.take($0, 0, now: 1_000_000) }
    #expect(taken == 500)
    let others = (0..<2).map { _ in pace.take(1, 1, now: 1_000_000) }
    #expect(others == [true, false])
    // What was passed over is taken when its time has come, once.
    let due = pace.due
    let isDue = pace.takeDue(now: due)
    let turns = [due, due &+ 1_000_000].map { pace.take(10_000, 0, now: $0) }
    #expect(due < 1_010_000 && isDue && turns == [true, false])
  }

  @Test func groupsThatAreMadeForALaneAreBounded() {
    var pace = AskPace(lanes: 2)
    let made = (0..<1_000).count { _ in pace.mayMakeGroup(0, now: 1_000_000) }
    let other = pace.mayMakeGroup(1, now: 1_000_000)
    #expect(made == 100 && other)
    // It is as if the question had not been taken yet.
    let first = pace.take(7, 0, now: 1_000_000)
    let isMade = pace.mayMakeGroup(0, now: 1_000_000)
    let second = pace.take(7, 0, now: 1_000_001)
    #expect(first && !isMade && second)
  }
}

@Suite struct LeftControlGroupTests {
  private let one = Array("/one".utf8)
  private let other = Array("/other".utf8)

  @Test func theyAreTriedEverLessOften() {
    var left = LeftControlGroups()
    #expect(left.due == .max)
    left.add(one, now: 0)
    var tries: [Int64] = []
    while tries.last ?? 0 < 3_000_000_000 {
      let now = left.due
      tries.append(now)
      left.tryDue(now: now) { _ in false }
    }
    #expect(tries.prefix(4) == [1_000_000, 2_000_000, 4_000_000, 8_000_000])
    #expect(tries.count < 16 && left.paths == [one])
    left.tryDue(now: left.due) { _ in true }
    #expect(left.due == .max && left.paths.isEmpty)
  }

  @Test func oneThatIsUsedAgainIsLeftAlone() {
    var left = LeftControlGroups()
    left.add(one, now: 0)
    left.add(other, now: 5)
    left.forget(one)
    left.tryDue(now: 10_000_000) { path in
      #expect(path == other)
      return true
    }
    #expect(left.due == .max)
    for number in 0..<2_000 { left.add(Array("/\(number)".utf8), now: 0) }
    #expect(left.paths.count == 1_000)
  }
}

@Suite struct TenantsScriptTests {
  @Test func aQuestionNamesTenantAndScript() throws {
    let memory = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: TenantQuestion.size)
    memory.initialize(repeating: 0)
    defer { memory.deallocate() }
    let base = try #require(memory.baseAddress)
    let question = base.withMemoryRebound(to: SharedWord.self, capacity: memory.count) { TenantQuestion($0) }
    #expect(question.tenant == nil && question.script == nil)
    let tenant = Tenant(key: try #require(TenantKey("bob".utf8)), user: 1000)
    for length in [2, 7, 8, 9, ScriptPath.limit] {
      let script = try #require(ScriptPath(Array("/".utf8) + [UInt8](repeating: 0x61, count: length - 1)))
      question.put(tenant, script)
      #expect(question.tenant == tenant && question.script == script)
    }
    question.put(tenant, nil)
    #expect(question.tenant == tenant && question.script == nil)
  }

  @Test(arguments: [UInt64(0), 1, 1_025, 4_096, .max]) func lengthsThatAreNoneAreRefused(_ length: UInt64) {
    #expect(ScriptPath(length: length) { _ in 0x2F2F_2F2F_2F2F_2F2F } == nil)
  }

  @Test func pathsAreAbsoluteAndHaveNoNUL() {
    #expect(ScriptPath("app.wsgi".utf8) == nil && ScriptPath("/".utf8) == nil && ScriptPath("/a\0b".utf8) == nil)
    #expect(ScriptPath("/srv/app.wsgi".utf8) != nil)
  }

  @Test func theNextSupervisorFindsTheScriptAndPreloaders() throws {
    let memory = try #require(ScoreboardMemory.make(processes: [1, 2, 1], keepsScript: { $0 == 1 }))
    let rows = try (0..<3).map { try #require(memory.writer($0)) }
    let script = ScriptPath("/srv/app.wsgi".utf8)
    for row in rows { row.script = script }
    #expect(rows.map(\.script) == [nil, script, nil])
    let preloaders = [
      GroupScoreboard.PreloaderEntry(pid: 7, hasLoaded: true, started: 1),
      GroupScoreboard.PreloaderEntry(pid: 8, hasLoaded: false, started: 2),
    ]
    rows[1].preloaders = preloaders
    #expect(memory.reader(1)?.preloaders == preloaders && memory.reader(2)?.preloaders.isEmpty == true)
    rows[1].preloaders = [preloaders[1]]
    #expect(memory.reader(1)?.preloaders == [preloaders[1]])
    rows[1].erase()
    #expect(rows[1].script == nil && rows[1].preloaders.isEmpty && rows[2].slots.allSatisfy { $0.pid == 0 })
  }
}
