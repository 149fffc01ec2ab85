import CPosix
import Glibc
import Platform
import WSGICore

/// A worker as its supervisor sees it. Times in microseconds of the monotonic clock unless they say otherwise.
final class Worker {
  enum Verdict: Equatable {
    case loaded
    /// The number names the failure.
    case failed(UInt32)
  }

  unowned let group: Supervisor.Group
  let slot: Int
  /// 0: a preloader has been told to fork it, and it has not said yet that it exists.
  private(set) var pid: Int32
  let instance: UInt64
  /// The preloader that is to fork it; nil once it exists, and for one that was executed.
  private(set) var source: Worker?
  /// It serves nothing: the group's workers are forks of it.
  let isPreloader: Bool
  /// False: an earlier supervisor started it; its exit status is not ours to get.
  let isChild: Bool
  /// None where the kernel has no such: the process is looked at from time to time.
  private var process: Descriptor
  let channel: ControlChannel
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
  /// When it had loaded the script that it was started for.
  var settled: Int64?
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
  /// The log says that this preloader takes long.
  var isReportedSlow = false
  var malformedMessages = 0
  /// Nothing more will be reported: the process has ended, or closed its end, or its relay has ended.
  var hasHungUp = false
  /// When it was found to have ended. What it said last may still be on its way.
  var endSeen: Int64?
  /// All that it said before its end has come.
  var hasSaidAll = false
  /// Requests that it had run when they were last counted, and those of late: half of them are forgotten at every count.
  var completed: UInt64 = 0
  var lately: UInt64 = 0
  /// The session slot that it serves; -1: its group has none.
  var sessionSlot = -1
  /// Which of its group's queues it has.
  var queueNumber = 0

  init(
    group: Supervisor.Group, slot: Int, pid: Int32, isChild: Bool, ends: DescriptorStore.Ends, relay: Int32 = 0,
    state: WorkerState, startedEpoch: Int64, memoryKills: UInt64, source: Worker? = nil, isPreloader: Bool = false
  ) {
    self.source = source
    self.isPreloader = isPreloader
    self.group = group
    self.slot = slot
    self.pid = pid
    instance = ends.instance
    self.isChild = isChild
    channel = ControlChannel(reports: ends.reports, orders: ends.orders)
    output = WorkerOutput(group: group, pid: pid, descriptor: ends.output, relay: relay)
    self.state = state
    self.startedEpoch = startedEpoch
    self.memoryKills = memoryKills
    started = Clock.monotonicMicroseconds()
    process = pid > 0 ? Descriptor(owning: max(wsgi_posix_pidfd(pid), -1)) : Descriptor()
  }

  /// It exists, as a child of this process that has not been reaped.
  func begin(pid: Int32) {
    self.pid = pid
    output.pid = pid
    source = nil
    process = Descriptor(owning: max(wsgi_posix_pidfd(pid), -1))
  }

  /// -1: there is none.
  var pidfd: Int32 { process.number }

  /// It takes requests, or will.
  var isActive: Bool { state == .starting || state == .ready }

  /// A candidate that has loaded its script or failed to, and could begin.
  var hasSettled: Bool { verdict != nil && readySince != nil }

  /// It is on its way out.
  var isLeaving: Bool { state == .draining || state == .stopping }

  /// How it has ended, now.
  func endRecord(_ cause: EndRecord.Cause, _ flags: EndRecord.Flags = []) -> EndRecord {
    EndRecord(
      pid: pid, instance: instance, started: startedEpoch, ended: Clock.epochMicroseconds(), cause: cause, flags: flags,
      reason: reason)
  }

  /// Signals it, and no process that came after it. A child is ours until it is reaped.
  func signal(_ number: Int32) {
    if pidfd >= 0 {
      _ = wsgi_posix_pidfd_signal(pidfd, number)
    } else if isChild, !isDone, pid > 0 {
      kill(pid, number)
    }
  }

  /// Closes what belongs to the process; its output may have more to say.
  func closeDescriptors() {
    process.close()
    if channel.incoming >= 0 { close(channel.incoming) }
    if channel.outgoing >= 0 { close(channel.outgoing) }
  }
}
