import CPosix
import Glibc
import Platform
import WSGICore

/// The commands of the administrator and of the users of process groups.
extension Supervisor {
  /// The kernel's name for users that have none here (`/proc/sys/kernel/overflowuid`): it is nobody's.
  private static let nameless: UInt32 = 65_534

  /// Carries out a command, or has its answer made.
  func begin(_ request: CommandRequest, _ connection: CommandConnection) {
    if request.verb == .status { return showStatus(request, connection) }
    guard let target = target(of: request, for: connection.user) else {
      connection.outcome = .noGroup
      return
    }
    guard !isStopping, !target.group.isFinished else {
      connection.outcome = .refused("the server is stopping")
      return
    }
    let workers = target.worker.map { [$0] } ?? target.group.workers
    switch request.verb {
    case .stacks:
      connection.outcome = report(.stacks, workers, connection)
      return
    case .requests:
      connection.outcome = report(.requests, workers, connection)
      return
    default: break
    }
    connection.outcome = carryOut(request, target.group, target.worker)
    guard connection.outcome == .done else { return }
    log(
      target.group, .info,
      "Process group '\(target.group.plan.name)': \(request.verb) by uid \(connection.user), process \(connection.process).")
    note(target.group)
  }

  private func carryOut(_ request: CommandRequest, _ group: Group, _ worker: Worker?) -> CommandAnswer.Outcome {
    switch request.verb {
    case .restart:
      for worker in worker.map({ [$0] }) ?? group.workers where worker.isActive { replace(worker, group) }
    case .stop: halt(group, .stopped)
    case .drain: halt(group, .drained)
    case .start: group.scoreboard.halt = nil
    case .reload:
      guard !group.plan.settings.isService else { return .refused("a service script is not reloaded; restart the group") }
      guard group.activities?.askForReload(request.applicationGroup) ?? group.workers.isEmpty else {
        return .refused("the group has no memory for that; restart it")
      }
    case .status, .requests, .stacks: return .refused("not known here")
    }
    return .done
  }

  // MARK: rights

  /// Whether a user may see and control the groups of another.
  private func mayControl(_ owner: UInt32, _ user: UInt32) -> Bool {
    if user == 0 { return true }
    // Without root's rights all processes are of one user.
    return user == owner && user != Self.nameless && (geteuid() == 0 || user == geteuid())
  }

  private func owner(of plan: GroupPlan) -> UInt32 { plan.settings.credentials?.user ?? geteuid() }

  private func owner(of group: Group) -> UInt32 {
    if let tenancy = group.tenancy, tenancy.template.plan.owners != nil { return tenancy.tenant.user }
    return owner(of: group.plan)
  }

  /// The places of the groups that a user may see.
  private func places(for user: UInt32) -> [Int] {
    let declared = plans.indices.filter { templates[$0] == nil && mayControl(owner(of: plans[$0]), user) }
    return declared + groups.filter { $0.tenancy != nil && mayControl(owner(of: $0), user) }.map(\.place).sorted()
  }

  private func name(at place: Int) -> String? {
    known(at: place)?.plan.name ?? (plans.indices.contains(place) ? plans[place].name : nil)
  }

  private func target(of request: CommandRequest, for user: UInt32) -> (group: Group, worker: Worker?)? {
    let places = places(for: user)
    if let place = places.first(where: { name(at: $0)?.utf8.elementsEqual(request.group) == true }), !request.group.isEmpty {
      return (known(at: place) ?? group(at: place)).map { ($0, nil) }
    }
    guard request.pid > 0 else { return nil }
    for place in places {
      guard let group = known(at: place) else { continue }
      if let worker = group.workers.first(where: { $0.pid == request.pid && !$0.isDone }) { return (group, worker) }
    }
    return nil
  }

  // MARK: status

  private func showStatus(_ request: CommandRequest, _ connection: CommandConnection) {
    var places = places(for: connection.user)
    if !request.group.isEmpty { places = places.filter { name(at: $0)?.utf8.elementsEqual(request.group) == true } }
    connection.outcome = places.isEmpty && !request.group.isEmpty ? .noGroup : .done
    connection.places = places.reversed()
  }

  /// A group with its processes, as it stands.
  func parts(of place: Int) -> [CommandAnswer] {
    guard let group = known(at: place) else {
      guard plans.indices.contains(place), templates[place] == nil else { return [] }
      let plan = plans[place]
      return [
        .group(
          describe(
            plan, owner(of: plan), plan.queue.readEnd < 0 && plan.makeFiles == nil ? [.isImpossible] : [], .init()))
      ]
    }
    var flags: CommandAnswer.Group.Flags = []
    if group.isHalted { flags.insert(.isStopped) }
    if wsgi_posix_waiting(group.queue.readEnd) > 0, !group.plan.settings.isService { flags.insert(.hasWaiting) }
    publish(group)
    var shown = describe(group.plan, owner(of: group), flags, group.published)
    shown.python = Array((group.activities?.notice.python ?? "").utf8)
    return [.group(shown)]
      + group.workers.compactMap { describe($0, group) }
  }

  private func describe(
    _ plan: GroupPlan, _ owner: UInt32, _ flags: CommandAnswer.Group.Flags, _ state: GroupScoreboard.State
  ) -> CommandAnswer.Group {
    var flags = flags
    if plan.settings.isService { flags.insert(.isService) }
    if state.isServed { flags.insert(.isServed) }
    return CommandAnswer.Group(
      name: Array(plan.name.utf8), user: owner, threads: UInt32(clamping: plan.settings.threads),
      wanted: UInt32(clamping: state.wanted), ready: UInt32(clamping: state.ready), starting: UInt32(clamping: state.starting),
      failures: UInt32(clamping: state.failures), flags: flags)
  }

  private func describe(_ worker: Worker, _ group: Group) -> CommandAnswer? {
    guard worker.pid > 0, !worker.isDone else { return nil }
    let activity = worker.state == .starting || worker.state == .candidate ? nil : group.activities?.activity(ofSlot: worker.slot)
    return .process(
      CommandAnswer.Process(
        pid: worker.pid, state: worker.state, requests: activity?.completed ?? 0, busy: UInt32(clamping: activity?.busy ?? 0),
        isSaturated: activity?.isSaturated ?? false,
        oldest: activity?.oldest.map { max(0, Clock.monotonicMilliseconds() &- $0) } ?? -1, started: worker.startedEpoch))
  }

  // MARK: reports

  /// Processes that are asked at a time.
  private static let mostReports = 32

  /// Has processes write what `order` asks for to the client, past this process.
  private func report(
    _ order: ControlMessage, _ workers: [Worker], _ connection: CommandConnection
  ) -> CommandAnswer.Outcome {
    for worker in workers.prefix(Self.mostReports) where worker.pid > 0 && !worker.isDone {
      var pair: [Int32] = [-1, -1]
      guard wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &pair) == 0 else {
        return .refused("cannot make sockets: \(String(cString: strerror(errno)))")
      }
      // One way, and this process has none of its ends any more when the first byte can have come.
      shutdown(pair[0], Int32(SHUT_WR))
      wsgi_posix_refuse_descriptors(pair[0])
      let isSent = connection.send(.report(worker.pid), descriptor: pair[0])
      close(pair[0])
      if isSent { worker.channel.send(order, descriptor: pair[1]) }
      close(pair[1])
      guard isSent else { return .refused("the client does not read") }
    }
    return .done
  }

  // MARK: processes

  /// Has a process finish what it runs and end; another takes its place at once.
  private func replace(_ worker: Worker, _ group: Group) {
    drain(worker, .gracefulSignal, group)
    // Commands, too, have a process that has just started replaced only so often.
    pace(worker, group)
  }

  private func halt(_ group: Group, _ how: GroupScoreboard.Halt) {
    // What is being stopped is not drained any more, and not the other way round.
    if group.scoreboard.halt != .stopped { group.scoreboard.halt = how }
  }

  /// Ends the processes of a group that a command has stopped. Nothing that comes later waits for it: httpd's children refuse it.
  func attendHalt(_ group: Group, now: Int64) {
    guard let halt = group.scoreboard.halt, !group.isFinished else { return }
    let hasRequests = wsgi_posix_waiting(group.queue.readEnd) > 0 && !group.plan.settings.isService
    if halt == .drained, hasRequests, group.active > 0 { return }
    group.reload = nil
    for worker in group.workers where !worker.isLeaving || halt == .stopped && worker.state == .draining {
      if halt == .stopped || worker.state != .ready { stop(worker, group) } else { drain(worker, .gracefulSignal, group) }
      // Requests that run are waited for as long as they take.
      if halt == .drained { worker.killAt = nil }
    }
    if hasRequests, group.processes.isEmpty, replaceQueue(group) != 0 { group.renewAt = nil }
  }
}
