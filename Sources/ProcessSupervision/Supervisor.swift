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
  let plans: [GroupPlan]
  /// Those that have a queue; others join when they are asked for.
  private(set) var groups: [Group] = []
  private var places: [Int: Group] = [:]
  /// By the place of their plans.
  private(set) var templates: [Int: Template] = [:]
  let memory: ScoreboardMemory
  let store: DescriptorStore
  let callbacks: SupervisorCallbacks
  private let commands: ControlChannel
  let activation: GroupActivation?
  /// Keeps the descriptors of groups that were made on demand.
  let groupStore: DescriptorStore?
  var askPace: AskPace
  var leftControlGroups = LeftControlGroups()
  private let parent: Int32
  private let parentDescriptor: Int32
  let nullDevice: Int32
  var desk: CommandDesk
  /// Held open by httpd's parent and by its children of this generation, and by the parent alone.
  var requestLifeline: Lifeline
  var serviceLifeline: Lifeline
  /// Processes that end when they can, and are then reaped: relays with nothing left to pass on, workers that cannot be killed.
  var unattended: [Int32] = []
  var isStopping = false
  /// Processes whose parents end, as those that preloaders fork, become children of this one.
  var adoptsOrphans = false
  /// False where not all of this process's children are this supervisor's: in tests.
  var reapsStrangers = true
  /// Not all children that nobody knows have been reaped.
  var hasMoreStrangers = false
  /// Descriptors that something may happen to, groups that it has happened to, and when others are to be looked at.
  var poller = Poller<Source>()
  private var eventful: [Group] = []
  private var schedule = Schedule()
  /// Groups that have workers, or may get some.
  private var unfinished = 0

  /// - commands: this process's end of the socket on which its parent sends `stop`.
  /// - parent: the process whose end is this one's.
  init(
    groups: [GroupPlan], memory: ScoreboardMemory, store: DescriptorStore,
    onDemand: (activation: GroupActivation, store: DescriptorStore)? = nil, commands: Int32, parent: Int32,
    after predecessors: [EndingService] = [],
    lifelines: (requests: Lifeline, services: Lifeline) = (.none, .none), listener: Int32 = -1, callbacks: SupervisorCallbacks
  ) {
    desk = CommandDesk(listener: listener)
    (requestLifeline, serviceLifeline) = lifelines
    plans = groups
    self.memory = memory
    self.store = store
    activation = onDemand?.activation
    askPace = AskPace(lanes: onDemand?.activation.laneCount ?? 0)
    groupStore = onDemand?.store
    self.callbacks = callbacks
    self.commands = ControlChannel(socket: commands)
    self.parent = parent
    parentDescriptor = max(wsgi_posix_pidfd(parent), -1)
    nullDevice = open("/dev/null", O_RDWR | O_CLOEXEC)
    for (place, plan) in plans.enumerated() { templates[place] = plan.template.map { Template($0) } }
    for place in plans.indices where plans[place].makeFiles == nil {
      guard let group = group(at: place) else { continue }
      // An earlier supervisor may have renewed it.
      group.queue.takeOver()
      if group.queue.readEnd < 0 { group.isFinished = true }
      if group.plan.settings.isService { group.predecessors = predecessors.filter { $0.group == group.plan.name } }
    }
  }

  /// The group in a place; nil: there is none.
  func group(at place: Int) -> Group? {
    if let group = places[place] { return group }
    guard plans.indices.contains(place), plans[place].template == nil, let scoreboard = memory.writer(place) else { return nil }
    return add(Group(plans[place], scoreboard, place: place))
  }

  /// The same, if it has been asked for before.
  func known(at place: Int) -> Group? { places[place] }

  @discardableResult
  func add(_ group: Group) -> Group {
    groups.append(group)
    places[group.place] = group
    unfinished += 1
    return group
  }

  /// Forgets a group that has no process and no queue.
  func remove(_ group: Group) {
    group.isFinished = true
    if !group.isOver { unfinished -= 1 }
    group.isOver = true
    groups.removeAll { $0 === group }
    places[group.place] = nil
  }

  deinit {
    if parentDescriptor >= 0 { close(parentDescriptor) }
    if nullDevice >= 0 { close(nullDevice) }
    poller.close()
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
    if plans.contains(where: { $0.template?.preloads ?? $0.preloads }) { adoptOrphans() }
    checkControlGroups()
    watchOwnDescriptors()
    adoptFiles()
    forgetAbsentTenants()
    adoptWorkers()
    checkLifelines()
    for group in groups { note(group) }
    while true {
      let now = Clock.monotonicMicroseconds()
      checkParent()
      while let group = schedule.takeDue(now: now) { note(group) }
      while let group = eventful.popLast() { attend(group, now: now) }
      reapUnattended()
      removeLeftControlGroups(now: now)
      if unfinished == 0, !mayOpenQueues { break }
      waitAndServe()
    }
    for group in groups {
      for output in group.leftovers { relay(output) }
      reportMissing(group, now: Clock.monotonicMicroseconds(), isLast: true)
    }
    dismissCallers()
    // After a graceful restart the next generation's processes may be about to join them.
    if isStopping { removeControlGroups() }
  }

  // MARK: the loop

  /// The owner of a descriptor that is waited on.
  enum Source {
    case parent
    case commands
    case lifeline
    case activation
    case callers
    case caller(CommandConnection)
    case queue(Group)
    case lookup(Group)
    case reports(Worker)
    case output(WorkerOutput)
    case process(Worker)
  }

  private func watchOwnDescriptors() {
    poller.watch(parentDescriptor, .parent, events: Poller<Source>.readable)
    poller.watch(commands.incoming, .commands, events: Poller<Source>.readable)
    watchBell()
    watchCallers()
    poller.watch(requestLifeline.watched, .lifeline, events: 0)
    poller.watch(serviceLifeline.watched, .lifeline, events: 0)
  }

  /// Something has happened to the group: it is looked at before the loop waits again.
  func note(_ group: Group) {
    guard !group.isEventful else { return }
    group.isEventful = true
    eventful.append(group)
  }

  /// Does all that there is to do for a group.
  private func attend(_ group: Group, now: Int64) {
    group.isEventful = false
    // Its place may be another's.
    if group.hasLeft { return }
    // Output and messages were served first: what a worker said last explains its end.
    for worker in group.processes where worker.pidfd < 0 || worker.endSeen != nil { checkEnd(of: worker) }
    group.workers.removeAll(where: \.isDone)
    checkQueue(group, now: now)
    attendPreloaders(group, now: now)
    attendReload(group, now: now)
    attendHalt(group, now: now)
    killOverdue(group, now: now)
    replaceDeaf(group, now: now)
    adjustDemand(group, now: now)
    endDisuse(group, now: now)
    if group.hasLeft { return }
    identify(group, now: now)
    if group.hasLeft { return }
    fill(group, now: now)
    reportMissing(group, now: now)
    publish(group)
    watch(group)
    schedule.add(group, at: nextDeadline(of: group, after: now))
    if group.isFinished, group.processes.isEmpty, !group.isOver {
      group.isOver = true
      unfinished -= 1
    }
  }

  /// Has the loop wait on what belongs to the group.
  private func watch(_ group: Group) {
    if group.isFinished || group.endingSince != nil || group.renewAt != nil {
      poller.forget(group.queue.readEnd)
    } else {
      // Where no process is to be started for requests, they are none of our business; the hang-up is.
      poller.watch(
        group.queue.readEnd, .queue(group),
        events: group.awaitsRequests ? Poller<Source>.readable | Poller<Source>.once : 0)
    }
    for worker in group.processes {
      if worker.hasHungUp {
        poller.forget(worker.channel.incoming)
      } else {
        poller.watch(worker.channel.incoming, .reports(worker), events: Poller<Source>.readable)
      }
      poller.watch(worker.output.descriptor, .output(worker.output), events: Poller<Source>.readable)
      if worker.endSeen == nil {
        poller.watch(worker.pidfd, .process(worker), events: Poller<Source>.readable)
      } else {
        poller.forget(worker.pidfd)
      }
    }
  }

  private func waitAndServe() {
    let now = Clock.monotonicMicroseconds()
    var next = min(schedule.next, askPace.due, leftControlGroups.due, desk.due, now &+ strangersPause)
    if !unattended.isEmpty { next = min(next, now &+ 1_000_000) }
    if parentDescriptor < 0, !isStopping { next = min(next, now &+ 500_000) }
    if poller.isIncomplete { next = min(next, now &+ Self.blindPause) }
    let milliseconds = Int32(clamping: (max(next &- now, 0) &+ 999) / 1_000)
    for source in poller.wait(milliseconds: milliseconds) { serve(source) }
    attendCallers(now: Clock.monotonicMicroseconds())
    if askPace.takeDue(now: Clock.monotonicMicroseconds()) { watchBell() }
    answerAsks()
    // Where the kernel refuses to report what happens, it is looked for.
    if poller.isIncomplete {
      checkLifelines()
      serveCommand()
      for group in groups where !group.isOver {
        for worker in group.processes {
          receive(from: worker)
          relay(worker.output)
          checkEnd(of: worker)
        }
        note(group)
      }
    }
  }

  /// Between two looks at everything, where the kernel has no room for what it should report.
  private static let blindPause: Int64 = 250_000

  private func serve(_ source: Source) {
    switch source {
    case .parent: if !isStopping { stopAll("httpd's parent process has gone") } else { poller.forget(parentDescriptor) }
    case .commands: serveCommand()
    case .lifeline: checkLifelines()
    case .activation: hearBell()
    case .callers: acceptCallers(now: Clock.monotonicMicroseconds())
    case .caller(let connection): serve(connection, now: Clock.monotonicMicroseconds())
    case .queue(let group), .lookup(let group): note(group)
    case .reports(let worker):
      checkQueue(worker.group, now: Clock.monotonicMicroseconds())
      if !worker.isDone { receive(from: worker) }
      note(worker.group)
    case .output(let output):
      relay(output)
      note(output.group)
    // Its queue before its end: once it has ended, a worker that shut the queue down could no longer be named.
    case .process(let worker):
      checkQueue(worker.group, now: Clock.monotonicMicroseconds())
      if !worker.isDone { checkEnd(of: worker) }
      note(worker.group)
    }
  }

  private func serveCommand() {
    switch commands.receive() {
    case .message(.stop, _): stopAll(nil)
    case .message(_, let descriptor): if descriptor >= 0 { close(descriptor) }
    case .ended:
      poller.forget(commands.incoming)
      stopAll("httpd's parent process has gone")
    case .malformed, .nothing: break
    }
  }

  private func checkParent() {
    // Where the kernel has no pidfds, and for a parent that went before ours was opened.
    if !isStopping, getppid() != parent { stopAll("httpd's parent process has gone") }
  }

  /// The time of the next thing to do for a group that no descriptor announces.
  private func nextDeadline(of group: Group, after now: Int64) -> Int64 {
    var next = min(group.demandDeadline, disuseDeadline(group), preloaderDeadline(group))
    if group.endingSince != nil, !group.isFinished { next = min(next, now &+ 100_000) }
    if !group.isFinished, group.active < group.demand.wanted, group.notBefore > now { next = min(next, group.notBefore) }
    if let renewAt = group.renewAt, !group.isFinished { next = min(next, renewAt) }
    // Whether its queue is empty is not announced.
    if group.isHalted, !group.isFinished, group.active > 0 { next = min(next, now &+ 50_000) }
    if let turn = group.turn, turn > now { next = min(next, turn) }
    if let deadline = group.tenancy?.lookup?.deadline { next = min(next, deadline) }
    if group.backoff.isProbing, group.ready > 0 { next = min(next, now &+ 250_000) }
    if !group.predecessors.isEmpty { next = min(next, now &+ 20_000) }
    if let reload = group.reload { next = min(next, reloadDeadline(reload)) }
    if let due = missingDue(group) { next = min(next, due) }
    for worker in group.processes {
      if let killAt = worker.killAt { next = min(next, killAt) }
      if let giveUpAt = worker.giveUpAt { next = min(next, giveUpAt) }
      if let deafAt = worker.deafAt { next = min(next, deafAt) }
      if worker.pidfd < 0 { next = min(next, now &+ 200_000) }
      if let seen = worker.endSeen { next = min(next, seen &+ Self.lastWordsAllowance) }
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
    var starting = group.workers.filter { $0.state == .starting || $0.state == .candidate }
    if let preloader = group.preloader, preloader.verdict == nil { starting.append(preloader) }
    state.starting = starting.count
    state.startingSince = starting.map(\.startedEpoch).max() ?? 0
    state.failures = group.backoff.failures
    let wait = group.notBefore &- Clock.monotonicMicroseconds()
    if !group.isFinished, !group.isHalted, wait > 0, group.active < group.demand.wanted {
      state.retry = Clock.epochMicroseconds() &+ wait
    }
    state.wanted = group.isHalted ? 0 : group.demand.wanted
    if state != group.published {
      group.published = state
      group.scoreboard.state = state
    }
    let preloaders = [group.preloader, group.reload?.preloader].compactMap { $0 }.filter { !$0.isDone }.map {
      GroupScoreboard.PreloaderEntry(pid: $0.pid, hasLoaded: $0.verdict == .loaded, started: $0.startedEpoch)
    }
    if preloaders != group.publishedPreloaders {
      group.publishedPreloaders = preloaders
      group.scoreboard.preloaders = preloaders
    }
  }

  func setState(_ worker: Worker, _ state: WorkerState) {
    worker.state = state
    var slot = worker.group.scoreboard[slot: worker.slot]
    (slot.state, slot.isNext) = (state.rawValue, false)
    worker.group.scoreboard[slot: worker.slot] = slot
  }
}
