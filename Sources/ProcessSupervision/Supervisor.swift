import CPosix
import Glibc
import Platform
import WSGICore

/// Keeps the workers of a generation's process groups: starts, watches, replaces, drains and stops them, and relays what they
/// say. It runs in a process of its own, as root where httpd does, and so takes nothing from a worker but packets and output of
/// bounded size, whose values it checks.
///
/// One thread, one loop: `run` returns when no worker is left and none is to be started.
public final class Supervisor {
  let groups: [Group]
  let memory: ScoreboardMemory
  let store: DescriptorStore
  let callbacks: SupervisorCallbacks
  private let commands: ControlChannel
  private let parent: Int32
  private let parentDescriptor: Int32
  let nullDevice: Int32
  /// Held open by httpd's parent and by its children of this generation, and by the parent alone.
  var requestLifeline: Lifeline
  var serviceLifeline: Lifeline
  /// Output of workers that have ended, which their own children may still write to.
  var leftovers: [WorkerOutput] = []
  /// Processes that end when they can, and are then reaped: relays with nothing left to pass on, workers that cannot be killed.
  var unattended: [Int32] = []
  var isStopping = false

  /// - commands: this process's end of the socket on which its parent sends `stop`.
  /// - parent: the process whose end is this one's.
  init(
    groups: [GroupPlan], memory: ScoreboardMemory, store: DescriptorStore, commands: Int32, parent: Int32,
    after predecessors: [EndingService] = [],
    lifelines: (requests: Lifeline, services: Lifeline) = (.none, .none), callbacks: SupervisorCallbacks
  ) {
    (requestLifeline, serviceLifeline) = lifelines
    self.groups = groups.enumerated().compactMap { row, plan in memory.writer(row).map { Group(plan, $0) } }
    for group in self.groups {
      // An earlier supervisor may have renewed it.
      group.queue.takeOver()
      if group.queue.readEnd < 0 { group.isFinished = true }
      if group.plan.settings.isService { group.predecessors = predecessors.filter { $0.group == group.plan.name } }
    }
    self.memory = memory
    self.store = store
    self.callbacks = callbacks
    self.commands = ControlChannel(socket: commands)
    self.parent = parent
    parentDescriptor = max(wsgi_posix_pidfd(parent), -1)
    nullDevice = open("/dev/null", O_RDWR | O_CLOEXEC)
  }

  deinit {
    if parentDescriptor >= 0 { close(parentDescriptor) }
    if nullDevice >= 0 { close(nullDevice) }
  }

  /// Makes the calling process, a fresh fork of httpd's parent, fit to supervise: out of reach of the signals that httpd sends
  /// its process group, and with none of httpd's signal handlers.
  public static func prepareProcess() {
    setpgid(0, 0)
    wsgi_posix_default_signals()
    for number in [SIGPIPE, SIGHUP, SIGINT, SIGUSR1, SIGUSR2] { signal(number, SIG_IGN) }
    wsgi_posix_set_name("wsgi-supervisor")
  }

  /// Supervises until all is over.
  public func run() {
    adoptWorkers()
    while true {
      let now = Clock.monotonicMicroseconds()
      checkParent()
      reportMissing(now: now)
      checkLifelines()
      for group in groups {
        checkQueue(group, now: now)
        attendReload(group, now: now)
        killOverdue(group, now: now)
        replaceDeaf(group, now: now)
        fill(group, now: now)
        publish(group)
      }
      if groups.allSatisfy({ $0.isFinished && $0.workers.isEmpty }) { break }
      waitAndServe(until: nextDeadline(after: now))
    }
    for output in leftovers { relay(output) }
    reportMissing(now: Clock.monotonicMicroseconds(), isLast: true)
  }

  // MARK: the loop

  /// The owner of a polled descriptor.
  private enum Source {
    case parent
    case commands
    case lifeline
    case queue(Group)
    case reports(Worker)
    case output(WorkerOutput)
    case process(Worker)
  }

  private func waitAndServe(until deadline: Int64) {
    var sources: [Source] = []
    var entries: [pollfd] = []
    func watch(_ descriptor: Int32, _ source: Source, events: Int32 = POLLIN) {
      guard descriptor >= 0 else { return }
      entries.append(pollfd(fd: descriptor, events: Int16(truncatingIfNeeded: events), revents: 0))
      sources.append(source)
    }
    if !isStopping {
      watch(parentDescriptor, .parent)
      watch(commands.incoming, .commands)
    }
    watch(requestLifeline.watched, .lifeline, events: 0)
    watch(serviceLifeline.watched, .lifeline, events: 0)
    for group in groups {
      // Only the hang-up is of interest, which poll reports without being asked for.
      if !group.isFinished, group.endingSince == nil, group.renewAt == nil {
        watch(group.queue.readEnd, .queue(group), events: 0)
      }
      for worker in group.workers {
        watch(worker.hasHungUp ? -1 : worker.channel.incoming, .reports(worker))
        watch(worker.output.descriptor, .output(worker.output))
        watch(worker.endSeen == nil ? worker.pidfd : -1, .process(worker))
      }
    }
    for output in leftovers { watch(output.descriptor, .output(output)) }

    let wait = max(deadline &- Clock.monotonicMicroseconds(), 0)
    let milliseconds = Int32(clamping: min((wait &+ 999) / 1_000, 60_000))
    let ready = poll(&entries, nfds_t(entries.count), milliseconds)
    if ready > 0 {
      for (entry, source) in zip(entries, sources) where entry.revents != 0 { serve(source) }
    }
    for group in groups {
      // Output and messages first, then the end: what a worker said last explains it.
      for worker in group.workers where worker.pidfd < 0 || worker.endSeen != nil { checkEnd(of: worker) }
      group.workers.removeAll { $0.isDone }
    }
    leftovers.removeAll { $0.descriptor < 0 }
    reapUnattended()
  }

  private func serve(_ source: Source) {
    switch source {
    case .parent: stopAll("httpd's parent process has gone")
    case .commands: serveCommand()
    case .lifeline: checkLifelines()
    // Before the end of the process that shut it down, which could no longer be named.
    case .queue(let group): checkQueue(group, now: Clock.monotonicMicroseconds())
    case .reports(let worker): if !worker.isDone { receive(from: worker) }
    case .output(let output): relay(output)
    case .process(let worker): if !worker.isDone { checkEnd(of: worker) }
    }
  }

  private func serveCommand() {
    switch commands.receive() {
    case .message(.stop, _): stopAll(nil)
    case .message(_, let descriptor): if descriptor >= 0 { close(descriptor) }
    case .ended: stopAll("httpd's parent process has gone")
    case .malformed, .nothing: break
    }
  }

  private func checkParent() {
    // Where the kernel has no pidfds, and for a parent that went before ours was opened.
    if !isStopping, getppid() != parent { stopAll("httpd's parent process has gone") }
  }

  /// The time of the next thing to do that no descriptor announces.
  private func nextDeadline(after now: Int64) -> Int64 {
    var next = now &+ 60_000_000
    if !unattended.isEmpty { next = min(next, now &+ 1_000_000) }
    if let missingDue { next = min(next, missingDue) }
    if parentDescriptor < 0, !isStopping { next = min(next, now &+ 500_000) }
    for group in groups {
      if group.endingSince != nil, !group.isFinished { next = min(next, now &+ 100_000) }
      if !group.isFinished, group.active < group.plan.processes, group.notBefore > now {
        next = min(next, group.notBefore)
      }
      if let renewAt = group.renewAt, !group.isFinished { next = min(next, renewAt) }
      if group.backoff.isProbing, group.ready > 0 { next = min(next, now &+ 250_000) }
      if !group.predecessors.isEmpty { next = min(next, now &+ 20_000) }
      if let reload = group.reload { next = min(next, reloadDeadline(reload)) }
      for worker in group.workers {
        if let killAt = worker.killAt { next = min(next, killAt) }
        if let giveUpAt = worker.giveUpAt { next = min(next, giveUpAt) }
        if let deafAt = worker.deafAt { next = min(next, deafAt) }
        if worker.pidfd < 0 { next = min(next, now &+ 200_000) }
        if let seen = worker.endSeen { next = min(next, seen &+ Self.lastWordsAllowance) }
      }
    }
    return next
  }

  // MARK: words

  func log(_ group: Group?, _ level: LogLevel, _ text: String) {
    (group?.plan.log ?? callbacks.log)(LogRecord(level: level, text: Array(text.utf8)))
  }

  /// How a worker is named in messages.
  func title(_ worker: Worker) -> String {
    "process \(worker.pid) of process group '\(worker.group.plan.name)'"
  }

  /// Shows how the group stands to those who wait for it.
  func publish(_ group: Group) {
    var state = GroupScoreboard.State()
    state.ready = group.ready
    let starting = group.workers.filter { $0.state == .starting || $0.state == .candidate }
    state.starting = starting.count
    state.startingSince = starting.map(\.startedEpoch).max() ?? 0
    state.failures = group.backoff.failures
    let wait = group.notBefore &- Clock.monotonicMicroseconds()
    if !group.isFinished, wait > 0, group.active < group.plan.processes { state.retry = Clock.epochMicroseconds() &+ wait }
    group.scoreboard.state = state
  }

  func setState(_ worker: Worker, _ state: WorkerState) {
    worker.state = state
    worker.group.scoreboard[slot: worker.slot].state = state.rawValue
  }
}
