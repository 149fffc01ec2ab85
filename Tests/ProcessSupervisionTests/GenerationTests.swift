import CPosix
import Glibc
import Platform
import Testing
import WSGICore

@testable import ProcessSupervision

/// A program that has a generation as httpd's parent has one, on a pipe.
private final class ParentProcess {
  let pid: Int32
  let scratch = ScratchDirectory()
  private let input: Int32
  private let output: Int32
  private var text = ""

  init(processes: Int, probe commands: String) throws {
    var to: [Int32] = [-1, -1]
    var from: [Int32] = [-1, -1]
    try #require(wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &to) == 0)
    try #require(wsgi_posix_output_pipe(&from) == 0)
    let commands = commands.replacing("%T", with: scratch.path)
    pid = startProbe(["parent", "\(processes)", commands], input: to[0], output: from[1])
    (input, output) = (to[1], from[0])
    close(to[0])
    close(from[1])
    try #require(pid > 0)
  }

  deinit {
    close(input)
    close(output)
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
  }

  func order(_ line: String) { _ = (line + "\n").withCString { write(input, $0, strlen($0)) } }

  var log: String {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(output, &buffer, buffer.count)
      guard count > 0 else { return text }
      text += String(decoding: buffer[0..<count], as: UTF8.self)
    }
  }

  var supervisors: [Int32] {
    log.split(separator: "\n").compactMap { $0.hasPrefix("supervisor ") ? Int32($0.dropFirst(11)) : nil }
  }

  func servingPid() -> Int32? {
    let name = scratch.file("note-\(Clock.monotonicMicroseconds())")
    order("send note \(name)")
    guard wait("a worker notes its id", until: { contents(name) != nil }) else { return nil }
    return contents(name).flatMap { Int32($0) }
  }
}

@Suite struct GenerationTests {
  @Test func aKilledSupervisorIsReplacedAndWorkersNoticeNothing() throws {
    let parent = try ParentProcess(processes: 2, probe: "say=hello serve")
    let worker = try #require(parent.servingPid())
    // A worker that is just being started when its supervisor is killed is lost.
    wait("both are known") { parent.log.split(separator: "\n").count { $0 == "hello" } == 2 }
    for round in 1...3 {
      wait("supervisor \(round)") { parent.supervisors.count == round }
      kill(parent.supervisors[round - 1], SIGKILL)
    }
    wait("the last one has taken over") { parent.log.contains("Process group 'g' continues with 2 processes: ") }
    #expect(isAlive(worker))
    // Output and reports still arrive, orders too, and a death is noticed.
    kill(worker, SIGKILL)
    wait("the end is known") { parent.log.contains("WSGI0451: The process \(worker) of process group 'g' exited") }
    #expect(parent.servingPid().map { $0 != worker } == true)
    parent.order("stop")
    wait("all has stopped") { parent.log.contains("stopped") }
  }

  @Test func aWorkerThatAnEarlierSupervisorStartedIsHeard() throws {
    let parent = try ParentProcess(processes: 1, probe: "ready unless=%T/a,say=before serve")
    wait("the first words") { parent.log.contains("before") }
    let worker = try #require(parent.servingPid())
    kill(parent.supervisors[0], SIGKILL)
    wait("another supervisor") { parent.supervisors.count == 2 && parent.log.contains("continues with 1 processes") }
    parent.order("send say after")
    wait("its words") { parent.log.contains("after") }
    #expect(parent.servingPid() == worker)
    parent.order("stop")
    wait("all has stopped") { parent.log.contains("stopped") && !isAlive(worker) }
  }

  @Test func aKilledParentLeavesNothing() throws {
    let parent = try ParentProcess(processes: 3, probe: "child serve")
    let worker = try #require(parent.servingPid())
    let child = try #require(contents("/proc/\(worker)/task/\(worker)/children").flatMap { Int32($0.split(separator: " ")[0]) })
    let supervisor = try #require(parent.supervisors.first)
    kill(parent.pid, SIGKILL)
    wait("the supervisor has ended") { !isAlive(supervisor) }
    wait("the workers have ended") { !isAlive(worker) && !isAlive(child) }
    #expect(parent.log.contains("WSGI0459"))
  }

  @Test func killedParentAndSupervisorLeaveNothing() throws {
    let parent = try ParentProcess(processes: 2, probe: "serve")
    let worker = try #require(parent.servingPid())
    let supervisor = try #require(parent.supervisors.first)
    kill(parent.pid, SIGSTOP)
    kill(supervisor, SIGKILL)
    kill(parent.pid, SIGKILL)
    wait("the worker sees that nobody is left") { !isAlive(worker) }
  }

  @Test func theEndOfTheConfigurationDrains() throws {
    let parent = try ParentProcess(processes: 2, probe: "serve")
    // One that has not said that it is ready is ended at once.
    var serving: Set<Int32> = []
    wait("both serve") {
      if let pid = parent.servingPid() { serving.insert(pid) }
      return serving.count == 2
    }
    let name = parent.scratch.file("last")
    parent.order("send note \(name)")
    parent.order("finish")
    wait("nothing is left") { parent.log.contains("discarded") }
    #expect(contents(name) != nil)
  }

  @Test func aQueueThatWasShutDownIsRenewedAndEndsWithItsGeneration() throws {
    let parent = try ParentProcess(processes: 1, probe: "serve")
    var before = try #require(parent.servingPid())
    for round in 1...3 {
      parent.order("shutdown")
      wait("it is noticed") { parent.log.count(of: "WSGI0672: Process") == round }
      wait("the old worker ends") { !isAlive(before) }
      before = try #require(parent.servingPid())
    }
    // The next supervisor has the new queue, too.
    let first = try #require(parent.supervisors.last)
    kill(first, SIGKILL)
    wait("another takes over") { parent.supervisors.count == 2 }
    // It can name a process only that it has found alive.
    wait("the worker is taken over") { parent.log.contains("continues with 1 process") }
    #expect(parent.servingPid() == before)
    parent.order("shutdown")
    wait("it is noticed") { parent.log.count(of: "WSGI0672: Process \(before)") == 1 }
    let last = try #require(parent.servingPid())
    parent.order("finish")
    wait("the generation is over") { parent.log.contains("discarded") }
    #expect(!isAlive(last))
  }

  @Test func httpdsSignalsDoNotReachTheSupervisor() throws {
    let parent = try ParentProcess(processes: 1, probe: "serve")
    let worker = try #require(parent.servingPid())
    let supervisor = try #require(parent.supervisors.first)
    #expect(getpgid(supervisor) != getpgid(parent.pid))
    #expect(getpgid(worker) != getpgid(parent.pid))
    kill(supervisor, SIGHUP)
    kill(supervisor, SIGUSR1)
    #expect(parent.servingPid() == worker)
    #expect(contents("/proc/\(supervisor)/comm") == "wsgi-supervisor\n")
    parent.order("stop")
    wait("all has stopped") { parent.log.contains("stopped") }
  }

  @Test func aSupervisorThatKeepsDyingIsTriedLessOften() throws {
    var settings = WorkerSettings()
    settings.shutdownTimeout = 100
    let group = GroupPlan(
      name: "g", processes: 1, settings: settings, program: Array(probe.utf8), arguments: [], environment: [])
    let generation = try #require(SupervisorHandle(groups: [group], callbacks: SupervisorCallbacks(log: { _ in })))
    var waits: [Int64] = []
    for _ in 0..<5 {
      switch generation.hasEnded(code: nil, now: 1_000_000) {
      case .restart(let wait): waits.append(wait)
      case .discard: waits.append(-1)
      }
    }
    #expect(waits == [0, 1_000, 2_000, 4_000, 8_000])
    // Nobody told it to end: its workers may live.
    #expect(generation.hasEnded(code: 0) != .discard)
    generation.closeWriteEnds()
    #expect(generation.hasEnded(code: 0) == .discard)
    generation.discard()
  }

  @Test func withoutAGroupThatCanStartThereIsNothingToSupervise() throws {
    let group = GroupPlan(
      name: "g", processes: 1, settings: WorkerSettings(), program: [], arguments: [], environment: [])
    let generation = try #require(SupervisorHandle(groups: [group], callbacks: SupervisorCallbacks(log: { _ in })))
    #expect(!generation.hasWork)
    generation.discard()
  }

  @Test func theParentDoesNotBecomeItsOwnChild() throws {
    var queue: [Int32] = [-1, -1]
    try #require(wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &queue) == 0)
    var group = GroupPlan(
      name: "g", processes: 1, settings: WorkerSettings(), program: [], arguments: [], environment: [])
    group.queue = try #require(RenewableQueue.make((read: queue[1], write: queue[0])))
    let generation = try #require(SupervisorHandle(groups: [group], callbacks: SupervisorCallbacks(log: { _ in })))
    #expect(generation.hasWork)
    generation.becomeChild()
    #expect(fcntl(queue[0], F_GETFD) >= 0 && fcntl(queue[1], F_GETFD) >= 0)
    generation.discard()
  }
}

extension String {
  fileprivate func count(of part: String) -> Int { ranges(of: part).count }
}

@Suite struct ScoreboardTests {
  @Test func readersCannotWrite() throws {
    var memory = try #require(ScoreboardMemory.make(processes: [2, 1]))
    let boards = try (0..<2).map { try #require(memory.writer($0)) }
    let end = EndRecord(
      pid: 7, instance: 8, started: 9, ended: 10, cause: .killed(signal: 9), flags: [.outOfMemory, .wasReady], reason: nil)
    boards[1].record(end)
    #expect(boards[1].ends == [end])
    #expect(boards[0].ends.isEmpty)
    let reader = try #require(memory.reader(0))
    reader.record(end)
    memory.becomeReader()
    let late = try #require(memory.writer(0))
    late.record(end)
    #expect(late.ends.isEmpty)
    #expect(boards[1].ends == [end])
    #expect(!memory.canBeMadeWritable)
    #expect(boards[1].end(pid: 7, since: 10, waiting: 0) == end)
    #expect(boards[1].end(pid: 7, since: 11, waiting: 0) == nil)
  }

  @Test func thereIsNoRowBehindTheLast() throws {
    let memory = try #require(ScoreboardMemory.make(processes: [1, 1]))
    for row in [-1, 2, .max] { #expect(memory.reader(row).map(\.slotCount) == nil && memory.writer(row).map(\.slotCount) == nil) }
    #expect(memory.reader(1).map(\.slotCount) == GroupScoreboard.slotCount(processes: 1))
  }

  @Test func theRingKeepsTheLast() throws {
    let board = try #require(ScoreboardMemory.make(processes: [1])?.writer(0))
    for number in 1...100 {
      board.record(
        EndRecord(
          pid: Int32(number), instance: UInt64(number), started: 0, ended: Int64(number), cause: .exited(code: 255),
          reason: .maximumRequests))
    }
    #expect(board.ends.map(\.pid) == (69...100).reversed().map { Int32($0) })
  }

  @Test func aGroupThatStartsForTheFirstTimeIsServed() throws {
    let memory = try #require(ScoreboardMemory.make(processes: [1, 1]))
    let (other, board) = (try #require(memory.writer(0)), try #require(memory.writer(1)))
    let now = Clock.epochMicroseconds()
    let states: [(GroupScoreboard.State, Bool)] = [
      (.init(), false), (.init(starting: 1, startingSince: now), true), (.init(ready: 1, failures: 3), true),
      (.init(starting: 1, startingSince: now, failures: 1), false), (.init(failures: 1, retry: 5), false),
      // What takes so long to start may hang.
      (.init(starting: 1, startingSince: now - 11_000_000), false),
    ]
    for (state, isServed) in states {
      board.state = state
      #expect(board.state == state)
      #expect(board.state.isServed == isServed)
      #expect(other.state == .init())
    }
    #expect(board.ends.isEmpty)
  }

  @Test func instancesAreNeverTheSame() throws {
    let memory = try #require(ScoreboardMemory.make(processes: []))
    #expect(memory.nextInstance() == 1)
    #expect(memory.nextInstance() == 2)
  }

  @Test func oneThatDiesSoonIsReplacedAtOnceAndTheNextWithinTwoSeconds() throws {
    let handle = try #require(SupervisorHandle(groups: [], callbacks: SupervisorCallbacks(log: { _ in })))
    defer { handle.discard() }
    // None has been started: as if all had been at 0.
    let waits = (0..<8).map { _ in handle.hasEnded(code: nil, now: 1_000_000) }
    #expect(waits[0] == .restart(wait: 0))
    guard case .restart(let second) = waits[1], case .restart(let last) = waits[7] else { throw Expectation() }
    #expect(second > 0 && second <= 1_000 && last <= 20_000)
    #expect(handle.hasEnded(code: nil, now: 60_000_000) == .restart(wait: 0))
    #expect(handle.hasEnded(code: 0, now: 60_000_000) == .restart(wait: 0))
    handle.closeWriteEnds()
    #expect(handle.hasEnded(code: 0, now: 60_000_000) == .discard)
  }

  private struct Expectation: Error {}

  @Test func whatIsKeptIsFound() throws {
    let store = try #require(DescriptorStore.make(capacity: 10))
    for instance in 1...50 as ClosedRange<UInt64> {
      #expect(store.put(.init(instance: instance, orders: 0, reports: 1, output: 2)))
    }
    for instance in 1...50 as ClosedRange<UInt64> where instance % 2 == 0 { store.remove(instance) }
    #expect(store.copies().map(\.instance) == (1...50).filter { $0 % 2 == 1 })
    let kept = store.copies()
    #expect(kept.map(\.instance) == (1...50).filter { $0 % 2 == 1 })
    for ends in kept { ends.closeAll() }
    store.keep([])
    #expect(store.copies().isEmpty)
    store.closeAll()
  }

  @Test func whatIsKeptOfManyIsFound() throws {
    let store = try #require(DescriptorStore.make(capacity: 1_000))
    for instance in 1...1_000 as ClosedRange<UInt64> {
      #expect(store.put(.init(instance: instance, orders: 0, reports: 1, output: 2)))
    }
    store.remove(64)
    store.keep(Set(60...70))
    let kept = store.copies()
    #expect(kept.map(\.instance) == [60, 61, 62, 63, 65, 66, 67, 68, 69, 70])
    for ends in kept { ends.closeAll() }
    store.closeAll()
  }
}

@Suite struct BackoffTests {
  @Test func startFailuresDouble() {
    var backoff = RestartBackoff()
    var now: Int64 = 0
    var waits: [Int64] = []
    for _ in 0..<10 {
      backoff.failedToStart(started: now, now: now)
      waits.append(backoff.notBefore - now)
      now = backoff.notBefore
    }
    #expect(waits.prefix(4) == [250_000, 500_000, 1_000_000, 2_000_000])
    #expect(waits.last == RestartBackoff.longest)
    backoff.succeeded()
    #expect(backoff.notBefore == 0)
    #expect(!backoff.isProbing)
  }

  @Test func thoseThatWereStartedTogetherCountOnce() {
    var backoff = RestartBackoff()
    for _ in 0..<10 { backoff.failedToStart(started: 5, now: 10) }
    #expect(backoff.failures == 1)
  }

  @Test func crashesWaitLess() {
    var backoff = RestartBackoff()
    var now: Int64 = 0
    for _ in 0..<20 {
      backoff.crashed(ready: 10, started: now, now: now)
      #expect(backoff.notBefore - now <= RestartBackoff.longestAfterCrash)
      now = backoff.notBefore
    }
    backoff.crashed(ready: RestartBackoff.stable, started: now, now: now)
    #expect(backoff.notBefore == 0)
  }

  @Test func servicesHaveAPace() {
    var backoff = RestartBackoff()
    backoff.serviceReturned(after: 300_000, now: 1_000_000)
    #expect(backoff.notBefore == 1_700_000)
    backoff.serviceReturned(after: 5_000_000, now: 9_000_000)
    #expect(backoff.notBefore <= 9_000_000)
  }

  @Test func linesAreCutAndCleaned() {
    var assembler = LineAssembler()
    var lines: [String] = []
    let emit: ([UInt8]) -> Void = { lines.append(String(decoding: $0, as: UTF8.self)) }
    assembler.add("a\r\n\nb\0c\nrest".utf8, emit)
    #expect(lines == ["a", "b c"])
    assembler.add([UInt8](repeating: 0x78, count: 10_000), emit)
    assembler.finish(emit)
    #expect(lines.dropFirst(2).map(\.utf8.count) == [LogPieces.limit, 10_004 - LogPieces.limit])
  }

  @Test func theEnvironmentIsTheServersAndTheUsers() {
    let made = WorkerEnvironment.make(
      ["PATH=/bin", "USER=root", "HOME=/root", "NOTIFY_SOCKET=/run/x", "junk"].map { Array($0.utf8) },
      language: Array("de_DE.UTF-8".utf8), locale: nil, userName: Array("www".utf8), userHome: Array("/var/www".utf8))
    #expect(
      made.map { String(decoding: $0, as: UTF8.self) } == ["PATH=/bin", "USER=www", "HOME=/var/www", "LANG=de_DE.UTF-8"])
  }

  @Test func aCleanEnvironmentHasWhatIsCommonAndWhatIsNamed() {
    let base = ["PATH=/bin", "LC_TIME=C", "TZ=UTC", "USER=root", "SECRET=1", "DSN=x=y", "LISTEN_FDS=3", "DSN2=z"]
    let made = WorkerEnvironment.make(
      base.map { Array($0.utf8) }, passed: ["DSN", "LISTEN_FDS", "MISSING"], language: nil, locale: nil,
      userName: Array("www".utf8), userHome: Array("/var/www".utf8))
    #expect(
      made.map { String(decoding: $0, as: UTF8.self) }
        == ["PATH=/bin", "LC_TIME=C", "TZ=UTC", "DSN=x=y", "HOME=/var/www"])
  }
}
