import CPosix
import Glibc
import Platform
import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct SupervisorTests {
  @Test func workersAreStartedAndServeAndStop() throws {
    let it = try SupervisionCase([.init("a", "serve", processes: 3), .init("b", "serve")])
    wait("all are ready") { it.ready(0) == 3 && it.ready(1) == 1 }
    #expect(it.servingPid(0).map { it.pids(0).contains($0) } == true)
    #expect(it.servingPid(1) == it.pids(1).first)
    it.finish()
    #expect(it.board().ends.count == 3)
    #expect(it.board().ends.allSatisfy { $0.cause == .exited(code: 0) && $0.reason == .shutdownSignal })
  }

  @Test func aWorkerFindsOnlyItsDescriptors() throws {
    let it = try SupervisionCase([.init("a", "privileges serve"), .init("b", "serve")])
    wait("both are ready") { it.ready(0) == 1 && it.ready(1) == 1 }
    let pid = try #require(it.pids(0).first)
    // 3 was the settings, read and closed, and 8 the activity pages, mapped and closed. 9 is none in a group without sessions.
    #expect(descriptors(of: pid) == [0, 1, 2, 4, 5, 6, 7, 9])
    #expect(link("/proc/\(pid)/fd/9") == "/dev/null")
    #expect(link("/proc/\(pid)/fd/0") == "/dev/null")
    #expect(link("/proc/\(pid)/fd/1") == link("/proc/\(pid)/fd/2"))
    #expect(link("/proc/\(pid)/fd/1").hasPrefix("pipe:"))
    #expect(contents("/proc/\(pid)/cmdline") == "(wsgi:a)\0")
    #expect(getpgid(pid) == pid)
    // The group shares no file.
    #expect(link("/proc/\(pid)/fd/7") == "/dev/null")
    // The other group's queue is nowhere in it.
    let other = try #require(it.pids(1).first)
    #expect(link("/proc/\(pid)/fd/4") != link("/proc/\(other)/fd/4"))
    it.finish()
  }

  @Test func aCrashIsRecordedLoggedAndMended() throws {
    let it = try SupervisionCase([.init("shop", "serve")])
    wait("ready") { it.ready() == 1 }
    let first = try #require(it.pids().first)
    let before = Clock.epochMicroseconds()
    it.send("signal 11")
    let end = try #require(it.board().end(pid: first, since: before, waiting: 60_000))
    #expect(end.cause == .killed(signal: 11))
    #expect(end.flags.contains(.wasReady))
    #expect(end.sentence.hasPrefix("was killed by signal 11 (SIGSEGV)"))
    wait("a replacement") { it.isServed(by: 1, without: [first]) }
    #expect(it.hasLogged("WSGI0451: The process \(first) of process group 'shop' was killed by signal 11"))
    let second = try #require(it.serving().first)
    it.send("exit 5")
    #expect(it.board().end(pid: second, since: before, waiting: 60_000)?.cause == .exited(code: 5))
    #expect(it.board().end(pid: second, since: Clock.epochMicroseconds(), waiting: 0) == nil)
    wait("another replacement") { it.isServed(by: 1, without: [first, second]) }
    it.finish()
  }

  @Test func aStableWorkerThatIsKilledIsReplacedAtOnce() throws {
    let it = try SupervisionCase([.init("g", "serve")])
    wait("ready") { it.ready() == 1 }
    let first = try #require(it.pids().first)
    let since = Clock.monotonicMicroseconds()
    wait("it counts as stable") { Clock.monotonicMicroseconds() - since > RestartBackoff.stable + 100_000 }
    kill(first, SIGKILL)
    wait("a replacement") { it.isServed(by: 1, without: [first]) }
    wait("the line in the log") { it.hasLogged("was killed by signal 9 (SIGKILL)") }
    #expect(it.hasLogged("Starting a replacement."))
    it.finish()
  }

  @Test func whatCannotStartIsTriedLessAndLessOften() throws {
    let it = try SupervisionCase([.init("ill", "fail=no_Python_there exit=76", processes: 5), .init("well", "serve")])
    wait("three rounds") { it.log.count { $0.hasPrefix("WSGI0028") } >= 7 }
    wait("the time of the next") { it.board().state.retry > 0 }
    // The first round is of five processes and counts once; after it one at a time tries.
    #expect(it.hasLogged("could not initialise Python (exit code 76) during startup: no_Python_there."))
    #expect(it.hasLogged("The next attempt is in 0.3 s.") || it.hasLogged("The next attempt is in 0.2 s."))
    #expect(it.hasLogged("The next attempt is in 1 s."))
    wait("the other group") { it.ready(1) == 1 }
    it.finish()
  }

  @Test func aGroupRecoversOnceItCanStart() throws {
    let it = try SupervisionCase([.init("g", "unless=%T/a,exit=1 unless=%T/b,exit=1 serve", processes: 2)])
    wait("both are there in the end") { it.ready() == 2 }
    #expect(it.hasLogged("WSGI0452"))
    it.finish()
  }

  @Test func aMissingProgramIsSaidSo() throws {
    let it = try SupervisionCase([.init("g", "serve")])
    wait("ready") { it.ready() == 1 }
    it.finish()
    let environment: [[UInt8]] = []
    var pid: Int32 = 0
    "/nonexistent".withCString { path in
      let null: [UnsafeMutablePointer<CChar>?] = [nil]
      pid = wsgi_posix_launch(
        path, null, null, [0, 1, 2] + [Int32](repeating: 0, count: Int(WSGI_POSIX_LAST_DESCRIPTOR) - 2), [], 0)
    }
    #expect(pid == -ENOENT)
    #expect(environment.isEmpty)
  }

  @Test func outputIsRelayedByTheLine() throws {
    let it = try SupervisionCase([.init("g", "say=one err=half say=whole err=end ready exit=3")])
    wait("the end of the output") { it.hasLogged("halfwhole") && it.hasLogged("end") }
    let lines = it.records.filter { $0.record.level == .error && $0.group == 0 }.map {
      String(decoding: $0.record.text, as: UTF8.self)
    }
    #expect(lines.contains("one"))
    it.finish()
  }

  @Test func aFloodIsCut() throws {
    let it = try SupervisionCase([.init("g", "ready flood=20000 serve")])
    func lines() -> Int { it.log.count { Int($0) != nil } }
    wait("the flood is over") { it.ready() == 1 && it.servingPid() != nil }
    // Its relay may be behind.
    wait("the burst") { lines() >= Int(LogRate.process.burstOfLines) }
    it.finish()
    #expect(lines() < 20_000)
    #expect(it.hasLogged("WSGI0458"))
  }

  @Test func aWorkerThatDoesNotStopIsKilled() throws {
    var group = SupervisionCase.Group("g", "stubborn serve")
    group.settings.shutdownTimeout = 200
    let it = try SupervisionCase([group])
    wait("ready") { it.ready() == 1 }
    it.finish()
    #expect(it.hasLogged("WSGI0453"))
    #expect(it.board().ends.first?.flags.contains(.overdue) == true)
  }

  @Test func whatAWorkerStartedEndsWithTheServer() throws {
    let it = try SupervisionCase([.init("g", "child serve")])
    wait("ready") { it.ready() == 1 }
    let pid = try #require(it.pids().first)
    let child = try #require(contents("/proc/\(pid)/task/\(pid)/children").flatMap { Int32($0.split(separator: " ")[0]) })
    it.finish()
    wait("its child has ended") { !isAlive(child) }
  }

  @Test func theEndOfTheQueueEndsTheGroup() throws {
    let it = try SupervisionCase([.init("a", "serve", processes: 2), .init("b", "serve")])
    wait("ready") { it.ready(0) == 2 && it.ready(1) == 1 }
    it.closeQueues()
    wait("all is over") { it.isFinished }
    #expect(it.pids(0).isEmpty && it.pids(1).isEmpty)
    it.finish()
  }

  @Test func requestsThatWaitAtTheEndOfTheQueueAreStillAnswered() throws {
    let it = try SupervisionCase([.init("g", "serve")])
    wait("ready") { it.ready() == 1 }
    let name = it.scratch.file("last")
    it.send("exit 1")
    it.send("note \(name)")
    it.closeQueues()
    wait("all is over") { it.isFinished }
    #expect(contents(name) != nil)
    it.finish()
  }

  @Test func garbageFromAWorkerHarmsNothing() throws {
    let it = try SupervisionCase([.init("g", "serve")])
    wait("ready") { it.ready() == 1 }
    let pid = try #require(it.pids().first)
    let pipe = open("/proc/\(pid)/fd/6", O_WRONLY | O_NONBLOCK)
    if pipe >= 0 {
      for length in [1, 3, 16, 500, 4000] {
        let bytes = [UInt8](repeating: 0xEE, count: length)
        write(pipe, bytes, length)
      }
      close(pipe)
      wait("it is said") { it.hasLogged("WSGI0463") }
    }
    #expect(it.servingPid() == pid)
    it.finish()
  }
}
