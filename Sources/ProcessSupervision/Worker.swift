import CPosix
import Glibc
import WSGICore

/// A worker as its supervisor sees it. Times in microseconds of the monotonic clock unless they say otherwise.
final class Worker {
  enum Verdict: Equatable {
    case loaded
    /// The number names the failure.
    case failed(UInt32)
  }

  let group: Int
  let slot: Int
  let pid: Int32
  let instance: UInt64
  /// False: an earlier supervisor started it; its exit status is not ours to get.
  let isChild: Bool
  /// -1: the kernel has none; the process is looked at from time to time.
  let pidfd: Int32
  let line: ControlLine
  let output: WorkerOutput
  let started: Int64
  /// Microseconds since the epoch.
  let startedEpoch: Int64
  /// The kernel's count of out-of-memory kills when it was started.
  let memoryKills: UInt64

  var state: WorkerState
  var readySince: Int64?
  var reason: ShutdownReason?
  var startFailure: String?
  var verdict: Verdict?
  /// It has answered a request.
  var hasAnswered = false
  /// The import of some script failed in it.
  var hasFailedImport = false
  /// When it is killed; nil: not yet decided, or never.
  var killAt: Int64?
  var wasKilled = false
  /// When a process that was killed and has not ended is no longer waited for.
  var giveUpAt: Int64?
  /// When one that lives and can report nothing is replaced.
  var deafAt: Int64?
  var isDone = false
  var malformedMessages = 0
  /// Nothing more will be reported: the process has ended, or closed its end, or its relay has ended.
  var hasHungUp = false
  /// When it was found to have ended. What it said last may still be on its way.
  var endSeen: Int64?
  /// All that it said before its end has come.
  var hasSaidAll = false
  /// Which of its group's queues it has.
  var queueNumber = 0

  init(
    group: Int, slot: Int, pid: Int32, isChild: Bool, ends: WorkerKeep.Ends, relay: Int32 = 0, state: WorkerState,
    startedEpoch: Int64,
    memoryKills: UInt64
  ) {
    self.group = group
    self.slot = slot
    self.pid = pid
    instance = ends.instance
    self.isChild = isChild
    line = ControlLine(reports: ends.reports, orders: ends.orders)
    output = WorkerOutput(group: group, pid: pid, descriptor: ends.output, relay: relay)
    self.state = state
    self.startedEpoch = startedEpoch
    self.memoryKills = memoryKills
    started = wsgi_posix_monotonic()
    pidfd = max(wsgi_posix_pidfd(pid), -1)
  }

  /// It takes requests, or will.
  var isActive: Bool { state == .starting || state == .ready }

  /// A candidate that has loaded its script or failed to, and could begin.
  var hasSettled: Bool { verdict != nil && readySince != nil }

  /// It is on its way out.
  var isLeaving: Bool { state == .draining || state == .stopping }

  /// Signals it, and no process that came after it. A child is ours until it is reaped.
  func signal(_ number: Int32) {
    if pidfd >= 0 {
      _ = wsgi_posix_pidfd_signal(pidfd, number)
    } else if isChild, !isDone {
      kill(pid, number)
    }
  }

  /// Closes what belongs to the process; its output may have more to say.
  func closeDescriptors() {
    if pidfd >= 0 { close(pidfd) }
    if line.incoming >= 0 { close(line.incoming) }
    if line.outgoing >= 0 { close(line.outgoing) }
  }
}

/// A group with its workers.
final class ProcessGroup {
  let index: Int
  let plan: SupervisedGroup
  var workers: [Worker] = []
  var backoff = RestartBackoff()
  var pace: StartPace
  var reload: Reload?
  /// When the next attempt may be made at a script whose import failed.
  var nextRetry: Int64 = 0
  /// Its queue has come to its end, or everything ends: no worker is started any more.
  var isFinished = false
  var queue = RenewableQueue.never
  /// How often the queue has been renewed.
  var queueNumber = 0
  /// When a queue that was shut down is renewed; nil: it works. No worker is started before.
  var renewAt: Int64?
  /// Since when the write ends are closed, but messages are left.
  var endingSince: Int64?
  /// The scoreboard that was last given, and when.
  var metrics: [UInt8]?
  var metricsGiven: Int64 = 0
  var hasReportedFullSlots = false
  /// Of all its processes, outside of requests.
  var outputLimit = OutputLimit(.processes)
  /// Of a service group: none is started beside them.
  var predecessors: [Predecessor] = []

  init(index: Int, plan: SupervisedGroup) {
    self.index = index
    self.plan = plan
    pace = StartPace(processes: plan.processes)
  }

  /// No worker is to be started before this time.
  var notBefore: Int64 { max(backoff.notBefore, pace.notBefore) }

  /// Whether one more record of a process of the group, from wherever it comes, goes into the log.
  func mayLog(bytes: Int, of output: WorkerOutput, now: Int64) -> Bool {
    output.limit.take(bytes: bytes, now: now) && outputLimit.take(bytes: bytes, now: now)
  }

  var active: Int { workers.count { $0.isActive } }
  var ready: Int { workers.count { $0.state == .ready } }

  /// A changed script on its way into the group.
  struct Reload {
    enum Phase: Equatable {
      case loading
      /// The old workers have been told to drain; those that have not said so yet.
      case switching(waitingFor: Set<UInt64>, until: Int64)
    }

    var changes: [ScriptChange]
    var candidates: [Worker]
    /// Workers that were there before: they make room.
    var old: Set<UInt64>
    var started: Int64
    /// A script whose import failed is tried again: only workers in which one did make room.
    var isRetry = false
    /// Workers that keep requests for it, one entry for each request, in the order in which they asked.
    var waiting: [UInt64] = []
    var phase = Phase.loading

    /// The most scripts that are told of in one reload; workers that find others changed hand their requests over all the same.
    private static let changeLimit = 256

    /// The most requests that are handed over in one reload; others go back to the queue.
    static let waitingLimit = 1024

    /// Whether a change is news that is to be passed on.
    func notes(_ change: ScriptChange) -> Bool { changes.count < Reload.changeLimit && !changes.contains(change) }

    /// When the candidates that are ready need no longer wait for the others: as long again as the first of them took.
    func patience(_ least: Int64) -> Int64 {
      let ready = candidates.filter(\.hasSettled).compactMap(\.readySince)
      guard let first = ready.min() else { return .max }
      return first &+ max(first &- started, least)
    }
  }
}
