import CPosix
import Glibc
import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct ReloadTests {
  @Test func theRequestThatNoticesIsAnsweredByANewProcess() throws {
    let it = try SupervisionCase([.init("g", "serve"), .init("other", "serve", processes: 2)])
    wait("ready") { it.ready(0) == 1 && it.ready(1) == 2 }
    let others = it.pids(1)
    for round in 0..<3 {
      let old = try #require(it.pids().first)
      let answer = it.scratch.file("answer\(round)")
      it.send("changed /srv/a.wsgi \(answer)")
      wait("the answer") { contents(answer) != nil }
      let new = contents(answer).flatMap { Int32($0) }
      #expect(new != old)
      // From now on nobody gets the old code.
      #expect(it.servingPid() == new)
      wait("the old process ends") { it.pids().count == 1 }
    }
    #expect(it.pids(1) == others)
    #expect(!it.hasLogged("WSGI0451"))
    it.finish()
  }

  @Test func allProcessesAreReplacedAndTheRestIsTold() throws {
    let it = try SupervisionCase([.init("g", "serve", processes: 3)])
    wait("ready") { it.ready() == 3 }
    let old = Set(it.pids())
    let answer = it.scratch.file("answer")
    it.send("changed /srv/a.wsgi \(answer)")
    wait("the answer") { contents(answer) != nil }
    wait("three new ones") { it.isServed(by: 3, without: Array(old)) && it.pids().count == 3 }
    wait("others were told") { it.log.count { $0 == "reloading:/srv/a.wsgi" } == 3 }
    wait("what the new ones said") { it.log.count { $0 == "candidate:/srv/a.wsgi" } == 3 }
    it.finish()
  }

  @Test func aProcessThatHasLoadedBeforeTheNextChangeMakesRoom() throws {
    let it = try SupervisionCase([.init("g", "unless=%T/flag,noload serve", processes: 2)])
    wait("ready") { it.ready() == 2 }
    let old = Set(it.pids())
    // Of two candidates one loads; the other keeps the reload waiting.
    unlink(it.scratch.file("flag"))
    it.send("changed /srv/a.wsgi \(it.scratch.file("first")) 1")
    wait("two candidates, one of them settled") {
      it.log.count { $0 == "candidate:/srv/a.wsgi" } == 2 && it.pids().count == 4 && it.hasLogged("settled")
    }
    let candidates = Set(it.pids()).subtracting(old)
    it.send("changed /srv/a.wsgi \(it.scratch.file("second")) 2")
    wait("another candidate") { it.log.count { $0 == "candidate:/srv/a.wsgi" } == 3 }
    wait("both answers") { contents(it.scratch.file("first")) != nil && contents(it.scratch.file("second")) != nil }
    for name in ["first", "second"] {
      let pid = try #require(contents(it.scratch.file(name)).flatMap { Int32($0) })
      #expect(!old.contains(pid) && !candidates.contains(pid))
    }
    it.finish()
  }

  @Test func codeThatDoesNotLoadReplacesTheOldByDefault() throws {
    let it = try SupervisionCase([.init("g", "badload serve")])
    wait("ready") { it.ready() == 1 }
    let old = try #require(it.pids().first)
    let answer = it.scratch.file("answer")
    it.send("changed /srv/a.wsgi \(answer)")
    wait("the answer") { contents(answer) != nil }
    wait("the old process ends") { it.isServed(by: 1, without: [old]) && !it.pids().contains(old) }
    it.finish()
  }

  @Test func codeThatDoesNotLoadLeavesTheOldWhereTheGroupRolls() throws {
    var group = SupervisionCase.Group("g", "badload serve", processes: 2)
    group.keepsOldCode = true
    let it = try SupervisionCase([group])
    wait("ready") { it.ready() == 2 }
    let old = Set(it.pids())
    let answer = it.scratch.file("answer")
    it.send("changed /srv/a.wsgi \(answer)")
    // The request that showed the change too is answered by the old code.
    wait("the answer") { contents(answer) != nil }
    #expect(contents(answer).flatMap { Int32($0) }.map { old.contains($0) } == true)
    wait("the candidates have gone") { Set(it.pids()) == old }
    #expect(it.hasLogged("WSGI0460: Reload failed: '/srv/a.wsgi'"))
    wait("the old ones know") { it.log.count { $0 == "refused:/srv/a.wsgi:0" } == 2 }
    #expect(it.servingPid().map { old.contains($0) } == true)
    it.finish()
  }

  @Test func candidatesThatDieLeaveTheOld() throws {
    let it = try SupervisionCase([.init("g", "unless=%T/first,serve exit=7", processes: 1)])
    wait("ready") { it.ready() == 1 }
    let old = try #require(it.pids().first)
    let answer = it.scratch.file("answer")
    it.send("changed /srv/a.wsgi \(answer)")
    wait("it is said") { it.hasLogged("WSGI0460") }
    wait("the answer") { contents(answer) == "\(old)" }
    #expect(it.servingPid() == old)
    it.finish()
  }

  // MARK: failed imports

  @Test func anotherAttemptIsMadeByANewProcess() throws {
    let it = try SupervisionCase([.init("g", "serve", processes: 2)])
    wait("ready") { it.ready() == 2 }
    let old = Set(it.pids())
    let answer = it.scratch.file("answer")
    it.send("failed /srv/a.wsgi 7 \(answer)")
    wait("the answer") { contents(answer) != nil }
    let new = contents(answer).flatMap { Int32($0) }
    #expect(new.map { !old.contains($0) } == true)
    // Only the process in which the import had failed makes room.
    wait("one has gone") { it.ready() == 2 && it.pids().count == 2 }
    #expect(old.intersection(it.pids()).count == 1)
    wait("what the new one said") { it.log.count { $0 == "candidate:/srv/a.wsgi" } == 1 }
    #expect(!it.log.contains { $0.hasPrefix("reloading:") })
    it.finish()
  }

  @Test func anAttemptThatFailsConcernsNobodyElse() throws {
    let it = try SupervisionCase([.init("g", "badload serve", processes: 2)])
    wait("ready") { it.ready() == 2 }
    let old = Set(it.pids())
    let answer = it.scratch.file("answer")
    it.send("failed /srv/a.wsgi 7 \(answer)")
    // How it failed this time is what the worker knows from now on.
    wait("it is told") { it.log.contains("refused:/srv/a.wsgi:8") }
    wait("the candidate has gone") { Set(it.pids()) == old }
    #expect(contents(answer).flatMap { Int32($0) }.map { old.contains($0) } == true)
    #expect(!it.hasLogged("WSGI0460"))
    it.finish()
  }

  @Test func attemptsArePaced() throws {
    let it = try SupervisionCase([.init("g", "badload serve", processes: 1)])
    wait("ready") { it.ready() == 1 }
    it.send("failed /srv/a.wsgi 7 \(it.scratch.file("first"))")
    wait("it is told") { it.log.contains("refused:/srv/a.wsgi:8") }
    it.send("failed /srv/a.wsgi 20 \(it.scratch.file("second"))")
    wait("it is refused") { it.log.contains { $0.hasPrefix("refused:/srv/a.wsgi:2") } }
    // Where the machine was so slow that a second had passed, a further process has tried.
    let candidates = it.log.contains("refused:/srv/a.wsgi:20") ? 1 : 2
    wait("what they said") { it.log.count { $0 == "candidate:/srv/a.wsgi" } == candidates }
    it.finish()
  }

  @Test func aChangeDoesNotWaitForAnAttempt() throws {
    // The first candidate never says how its script loads.
    let it = try SupervisionCase([.init("g", "unless=%T/first,serve unless=%T/second,spin serve")])
    wait("ready") { it.ready() == 1 }
    let old = try #require(it.pids().first)
    let (first, second) = (it.scratch.file("answer1"), it.scratch.file("answer2"))
    it.send("failed /srv/a.wsgi 7 \(first)")
    // Once it spins; a candidate that had not come to that would leave the spinning to the next.
    wait("the attempt") { contents(it.scratch.file("second")) != nil }
    it.send("changed /srv/b.wsgi \(second)")
    wait("the change is answered") { contents(second).flatMap { Int32($0) }.map { $0 != old } == true }
    #expect(contents(first) == "\(old)")
    it.finish()
  }
}
