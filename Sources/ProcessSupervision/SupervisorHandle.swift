import CPosix
import Glibc
import Platform
import WSGICore

/// The httpd parent's side of a generation of process groups: what must outlive a supervisor, and the supervisor itself.
///
/// Made once per reading of the configuration, before any fork. It outlives that configuration: as long as old httpd children
/// have requests, old workers run, and their supervisor is started again if it dies. Used on the parent's main thread; forked
/// processes say at once what they are, by `becomeChild` or `leave`.
public final class SupervisorHandle {
  private(set) var groups: [GroupPlan]
  /// Which of httpd's processes live that put requests into queues, and that services are there for.
  private var requestLifeline: Lifeline
  private var serviceLifeline: Lifeline
  public private(set) var memory: ScoreboardMemory
  private let store: DescriptorStore
  /// Where there are groups that are made on demand.
  private var onDemand: (activation: GroupActivation, store: DescriptorStore)?
  /// The parent's end, and the supervisor's.
  private let commands: [Int32]
  private let callbacks: SupervisorCallbacks
  /// The control socket; -1: there is none.
  private let listener: Int32
  private let owner = getpid()
  /// 0: none runs.
  public private(set) var pid: Int32 = 0
  /// Supervisors that died soon after they had started, one after the other.
  private var earlyDeaths = 0
  private var lastStart: Int64 = 0
  /// The configuration has ended, or everything is to: a supervisor may end of its own accord.
  private var isEnding = false
  /// The descriptors that only the parent and its supervisors need are open here.
  private var holdsReadEnds = true

  /// The most a supervisor may need to stop all workers, in microseconds.
  private let stopAllowance: Int64

  /// Takes over the descriptors of queues, of shared files and of the control socket. `children`: the most that httpd has at a
  /// time. nil: memory or descriptors are short.
  public init?(groups: [GroupPlan], children: Int = 1, listener: Int32 = -1, callbacks: SupervisorCallbacks) {
    var pair: [Int32] = [-1, -1]
    let slots = groups.reduce(0) {
      $0 &+ GroupScoreboard.slotCount(processes: $1.processes) &* ($1.template?.places.count ?? 1)
    }
    guard let requestLifeline = Lifeline.make(), let serviceLifeline = Lifeline.make() else { return nil }
    // Those of templates come behind the others, in their order.
    let tenants = groups.flatMap { group in group.template.map { $0.places.map { _ in group.processes } } ?? [] }
    let preloading = groups.compactMap(\.template).filter(\.preloads).map(\.places)
    guard
      let memory = ScoreboardMemory.make(
        processes: groups.map(\.processes) + tenants, keepsScript: { row in preloading.contains { $0.contains(row) } }),
      let store = DescriptorStore.make(capacity: slots),
      wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &pair) == 0
    else { return nil }
    let late = groups.count { $0.makeFiles != nil } &+ tenants.count
    if late > 0 {
      guard let activation = GroupActivation.make(children: children), let store = DescriptorStore.make(capacity: 2 &* late)
      else {
        return nil
      }
      onDemand = (activation, store)
    }
    self.requestLifeline = requestLifeline
    self.serviceLifeline = serviceLifeline
    self.groups = groups
    self.memory = memory
    self.store = store
    commands = pair
    self.listener = listener
    self.callbacks = callbacks
    stopAllowance = (groups.map(\.stopAllowance).max() ?? 0) &+ 1_000_000
  }

  /// Some group can be started. Without one there is nothing to supervise.
  public var hasWork: Bool { groups.contains { $0.queue.readEnd >= 0 || $0.makeFiles != nil } }

  /// A supervisor has been there: there may be workers.
  public var hasStarted: Bool { lastStart > 0 }

  // MARK: in the parent

  /// Starts a supervisor, which lets `predecessors` end before it starts services. `inChild` is called in it first, to close
  /// what it must not hold. The result is 0, or errno's value.
  public func start(after predecessors: [EndingService] = [], _ inChild: () -> Void) -> Int32 {
    let parent = getpid()
    let pid = wsgi_posix_fork()
    if pid < 0 { return -pid }
    if pid == 0 {
      Supervisor.prepareProcess()
      inChild()
      requestLifeline.letGo()
      serviceLifeline.letGo()
      Glibc.close(commands[0])
      // Not in the parent, which httpd lets look at its processes only every few seconds. An order, or the parent's end, cuts it.
      _ = waitUntilReady(commands[1], for: Int32(readable), milliseconds: pauseBeforeStart)
      Supervisor(
        groups: groups, memory: memory, store: store, onDemand: onDemand, commands: commands[1], parent: parent,
        after: predecessors,
        lifelines: (requestLifeline, serviceLifeline), listener: listener, callbacks: callbacks
      ).run()
      _exit(0)
    }
    self.pid = pid
    lastStart = Clock.monotonicMicroseconds()
    return 0
  }

  /// The action to take when a supervisor has ended.
  public enum NextStep: Equatable, Sendable {
    /// Nothing: its work is done, and the generation can be thrown away.
    case discard
    /// Another one is to be started, which waits before it does anything if those before it did not live long.
    case restart(wait: Int64)
  }

  /// The supervisor has ended, and been reaped. `code` is its exit code, or nil after a signal.
  public func hasEnded(code: Int32?, now: Int64 = Clock.monotonicMicroseconds()) -> NextStep {
    pid = 0
    if code == 0, isEnding { return .discard }
    earlyDeaths = now &- lastStart < 10_000_000 ? min(earlyDeaths &+ 1, 6) : 0
    return .restart(wait: pauseBeforeStart)
  }

  /// In milliseconds: none where a supervisor has lived, or only one has not.
  private var pauseBeforeStart: Int64 { earlyDeaths <= 1 ? 0 : 250 << Int64(earlyDeaths) }

  /// The configuration ends: nothing more is put into the queues by this process. Workers end when the last child's ends are
  /// closed too.
  public func closeWriteEnds() {
    isEnding = true
    for index in groups.indices { closeWriteEnd(index) }
    requestLifeline.letGo()
    serviceLifeline.letGo()
  }

  /// Lets go of queues that have been renewed, with the requests that are left in them and no process takes.
  public func takeOverRenewedQueues() {
    for index in groups.indices { groups[index].queue.takeOver() }
  }

  /// Has everything stop: `waitForStop` must follow.
  public func orderStop() {
    isEnding = true
    guard getpid() == owner, pid > 0 else { return }
    ControlChannel(socket: commands[0]).send(.stop)
  }

  /// Waits until the supervisor has stopped all, which it does within the groups' shutdown timeouts, or kills it, and waits a
  /// moment for that. Workers that then still live see the ends of their channels.
  public func waitForStop() {
    guard getpid() == owner, pid > 0 else { return }
    let deadline = Clock.monotonicMicroseconds() &+ stopAllowance
    var end = wsgi_posix_end()
    while wsgi_posix_reap(pid, &end) == 0 {
      if Clock.monotonicMicroseconds() >= deadline {
        kill(pid, SIGKILL)
        let limit = Clock.monotonicMicroseconds() &+ 2_000_000
        while wsgi_posix_reap(pid, &end) == 0, Clock.monotonicMicroseconds() < limit { poll(nil, 0, 5) }
        break
      }
      poll(nil, 0, 5)
    }
    pid = 0
  }

  /// The processes of service groups that have not ended yet, for the generation that comes after this one.
  public func services() -> [EndingService] {
    var found: [EndingService] = []
    for row in groups.indices where groups[row].settings.isService {
      let group = groups[row]
      let until = Clock.monotonicMicroseconds() &+ group.stopAllowance &+ 1_000_000
      for slot in memory.reader(row)?.slots ?? [] where slot.pid > 0 {
        found.append(EndingService(group: group.name, pid: slot.pid, startTicks: slot.startTicks, until: until))
      }
    }
    return found
  }

  /// Gives everything back. Not to be used afterwards.
  public func discard() {
    leave()
    memory.discard()
  }

  // MARK: in a forked process

  /// An httpd child of this generation: it keeps the write ends of the queues of groups that take requests, and reads the
  /// scoreboards. Where the parent itself serves requests (`httpd -X`) nothing changes: it is still what the supervisor looks
  /// after.
  public func becomeChild() {
    guard getpid() != owner else { return }
    closeReadEnds()
    for index in groups.indices where groups[index].settings.isService { closeWriteEnd(index) }
    serviceLifeline.letGo()
    memory.becomeReader()
  }

  /// The means of the calling process, which serves requests, to ask for queues; nil: no group is made on demand.
  public func makeAsker() -> GroupActivation.Asker? { onDemand?.activation.asker(isAlone: getpid() == owner) }

  /// An httpd child has ended.
  public func reclaim(pid: Int32) { onDemand?.activation.release(pid: pid) }

  /// A process that has nothing to do with the generation.
  public func leave() {
    closeWriteEnds()
    closeReadEnds()
    close(\.queue.offered)
    groups = []
    onDemand?.activation.closeAll()
    onDemand = nil
    memory.becomeReader()
  }

  /// Closes a descriptor of every group that has it. To take the plans out of their array would write to memory of each, which
  /// forked processes would then have twice.
  private func close(_ descriptor: KeyPath<GroupPlan, Int32>) {
    for index in groups.indices where groups[index][keyPath: descriptor] >= 0 { Glibc.close(groups[index][keyPath: descriptor]) }
  }

  /// Once: the numbers may be other files' afterwards.
  private func closeReadEnds() {
    guard holdsReadEnds else { return }
    holdsReadEnds = false
    close(\.queue.readEnd)
    close(\.sharedFile)
    close(\.activity)
    close(\.sessionQueues)
    for end in commands { Glibc.close(end) }
    close(\.queue.offer)
    if listener >= 0 { Glibc.close(listener) }
    requestLifeline.lookAway()
    serviceLifeline.lookAway()
    store.closeAll()
    onDemand?.store.closeAll()
  }

  private func closeWriteEnd(_ index: Int) {
    guard groups[index].queue.writeEnd >= 0 else { return }
    Glibc.close(groups[index].queue.writeEnd)
    groups[index].queue.writeEnd = -1
  }
}
