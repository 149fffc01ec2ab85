import RequestCounting
import Testing
import WSGICore

@testable import WSGIStatus

/// Which requests run, and which wait.
@Suite struct LoadTests {
  private func group(
    _ processes: [(state: WorkerState, busy: Int?, idle: Int?)], starts: Int, isSticky: Bool = false
  ) -> StatusReport.Group {
    var group = StatusReport.Group(name: "g", isEmbedded: false, state: .serving, wantedProcesses: 2, threads: 3)
    group.processes = processes.map {
      var process = StatusReport.Process(pid: 1, state: $0.state, started: 0)
      process.busyThreads = $0.busy
      process.idleThreads = $0.idle
      return process
    }
    group.setInFlight(open((0..<starts).map { 1 + Int64($0) * 10 }), now: 1001, isSticky: isSticky)
    return group
  }

  private func open(_ starts: [Int64]) -> [RequestBook.OpenRequest] { starts.map { .init(slot: 1, started: $0) } }

  @Test func theOldestRequestsRun() {
    let busy = group([(.ready, 3, 0), (.ready, 3, 0)], starts: 8)
    #expect(busy.inFlight == 8 && busy.waiting == 2 && busy.busyThreads == 6 && busy.idleThreads == 0)
    #expect(busy.oldestWait == 940)
  }

  @Test func aRequestIsOnItsWayToAnIdleThread() {
    let idle = group([(.ready, 2, 1), (.ready, 3, 0)], starts: 6)
    #expect(idle.waiting == 0 && idle.oldestWait == nil && idle.busyThreads == 5 && idle.idleThreads == 1)
  }

  @Test func aRequestWaitsForTheProcessOfItsSession() {
    let idle = group([(.ready, 0, 3), (.ready, 3, 0)], starts: 5, isSticky: true)
    #expect(idle.waiting == 2 && idle.oldestWait == 970 && idle.busyThreads == 3 && idle.idleThreads == 3)
  }

  @Test func aRequestWhoseBodyIsReceivedWaitsForNoProcess() {
    var group = group([(.ready, 1, 0)], starts: 0)
    group.setInFlight(open([0, 20, 0, 10, 0]), now: 1000)
    #expect(group.running.map(\.state) == [.running, .waiting, .receiving, .receiving, .receiving])
    #expect(group.running.map(\.age) == [990, 980, nil, nil, nil])
    #expect(group.inFlight == 5 && group.waiting == 1 && group.oldestWait == 980)
  }

  /// Where processes do not tell, the threads of those that take requests are taken to be busy.
  @Test func whatIsNotToldIsReckoned() {
    let unknown = group([(.ready, nil, nil), (.starting, nil, nil)], starts: 5)
    #expect(unknown.busyThreads == 3 && unknown.idleThreads == 0 && unknown.waiting == 2 && unknown.oldestWait == 970)
    let few = group([(.ready, nil, nil)], starts: 1)
    #expect(few.busyThreads == 1 && few.idleThreads == 2 && few.waiting == 0)
    let none = group([], starts: 2)
    #expect(none.busyThreads == 0 && none.waiting == 2 && none.oldestWait == 1000)
  }

  @Test(arguments: [
    (3, 2, true, StatusReport.GroupState.serving), (3, 3, true, .serving), (3, 1, true, .degraded), (3, 0, true, .starting),
    (3, 0, false, .down), (0, 2, true, .service), (0, 0, false, .service),
  ])
  func groupsHaveAState(threads: Int, ready: Int, isServed: Bool, state: StatusReport.GroupState) {
    #expect(StatusReport.GroupState(threads: threads, wanted: 2, ready: ready, isServed: isServed) == state)
  }

  @Test func aGroupWithoutAnIdleThreadAndWithAQueueIsSaturated() {
    #expect(group([(.ready, 3, 0), (.ready, 3, 0)], starts: 7).state == .saturated)
    #expect(group([(.ready, 3, 0), (.ready, 3, 0)], starts: 6).state == .serving)
    #expect(group([(.ready, 3, 0), (.ready, 2, 1)], starts: 9, isSticky: true).state == .serving)
  }

  @Test func soManyRequestsAreTold() {
    let many = group([(.ready, 3, 0), (.ready, 3, 0)], starts: 1000)
    #expect(many.running.count == 20 && many.inFlight == 1000)
    #expect(many.running.prefix(6).allSatisfy { $0.state == .running } && many.running[6].state == .waiting)
    #expect(many.running.first?.age == 1000)
  }

  @Test(arguments: [
    (StatusReport.GroupState.serving, StatusReport.Load.Outcome?.none, true), (.serving, .loaded, true), (.serving, .kept, true),
    (.serving, .failed, false),
    (.saturated, nil, true), (.degraded, nil, true), (.sleeping, nil, true), (.sleeping, .failed, true), (.starting, nil, false),
    (.down, nil, false), (.stopped, nil, false), (.failed, nil, false), (.service, nil, false),
  ])
  func readiness(state: StatusReport.GroupState, load: StatusReport.Load.Outcome?, isReady: Bool) {
    var group = StatusReport.Group(name: "g", isEmbedded: false, state: state, wantedProcesses: 1, threads: 1)
    group.lastLoad = load.map { .init(outcome: $0, at: 0, text: "") }
    #expect((group.unreadiness == nil) == isReady)
  }

  @Test func aGroupThatRequestsStartIsReadyMeanwhile() {
    var group = StatusReport.Group(name: "g", isEmbedded: false, state: .starting, wantedProcesses: 1, threads: 1)
    #expect(group.unreadiness != nil)
    group.startsOnDemand = true
    #expect(group.unreadiness == nil)
  }

  @Test func aServiceIsReadyWhileItHasAProcess() {
    var group = StatusReport.Group(name: "g", isEmbedded: false, state: .service, wantedProcesses: 1, threads: 0)
    group.processes = [.init(pid: 1, state: .stopping, started: 0)]
    #expect(group.unreadiness != nil)
    group.processes.append(.init(pid: 2, state: .ready, started: 0))
    #expect(group.unreadiness == nil)
  }

  /// The interval that is not over says less than it will.
  @Test func theLastMinuteIsOver() {
    var group = group([], starts: 0)
    #expect(group.lastMinute == nil)
    group.history = (1...10).map { .init(ended: UInt64($0), failed: 1, duration: 10) }
    #expect(group.lastMinute == .init(ended: 4 + 5 + 6 + 7 + 8 + 9, failed: 6, duration: 60))
  }

  @Test func groupsThatNeedSomebodyAreTold() {
    func health(_ change: (inout StatusReport.Group) -> Void) -> GroupHealth {
      var group = group([(.ready, 0, 3)], starts: 0)
      group.history = [.init(ended: 1), .init()]
      change(&group)
      return group.health(now: 1_000_000_000)
    }
    #expect(health { _ in } == .good)
    #expect(health { $0.history = [.init(), .init()] } == .idle)
    #expect(health { $0.history = [] } == .good)
    #expect(
      health {
        $0.history[0] = .init(); $0.inFlight = 1
      } == .good)
    #expect(health { $0.state = .sleeping } == .idle)
    #expect(
      health {
        $0.state = .service; $0.history = [.init()]
      } == .good)
    for state in [StatusReport.GroupState.degraded, .saturated, .stopped] { #expect(health { $0.state = state } == .warning) }
    for state in [StatusReport.GroupState.down, .failed] { #expect(health { $0.state = state } == .bad) }
    for outcome in [StatusReport.Load.Outcome.failed, .kept] {
      #expect(health { $0.lastLoad = .init(outcome: outcome, at: 0, text: "") } == .bad)
    }
    #expect(health { $0.lastLoad = .init(outcome: .loaded, at: 0, text: "") } == .good)
    #expect(health { $0.lastEnd = .init(pid: 1, at: 900_000_000, sentence: "", isNormal: false) } == .warning)
    #expect(health { $0.lastEnd = .init(pid: 1, at: 900_000_000, sentence: "", isNormal: true) } == .good)
    #expect(health { $0.lastEnd = .init(pid: 1, at: 100_000_000, sentence: "", isNormal: false) } == .good)
    #expect(health { $0.retry = 2_000_000_000 } == .warning)
  }
}
