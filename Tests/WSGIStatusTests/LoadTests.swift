import Testing
import WSGICore
import WSGIStatus

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
    group.setInFlight((0..<starts).map { Int64($0) * 10 }, now: 1000, isSticky: isSticky)
    return group
  }

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
    group.setInFlight([10, 20], receiving: 3, now: 1000)
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
}
