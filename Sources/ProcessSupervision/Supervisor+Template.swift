import CPosix
import Glibc
import Platform
import WSGICore

/// Groups that are made from templates, for tenants whose names httpd's children have found.
extension Supervisor {
  /// A template and the groups that were made from it.
  final class Template {
    let plan: TemplatePlan
    var groups: [TenantKey: Group] = [:]
    /// Places that no group has, the first one last.
    var free: [Int]
    var rate: StartRate
    /// No group was idle: until then it is not looked again, lest questions at the limit take the supervisor's time.
    var fullUntil: Int64 = 0
    /// Questions that wait until a group has made room.
    var waiting: [GroupActivation.Ask] = []

    init(_ plan: TemplatePlan) {
      self.plan = plan
      free = plan.places.reversed()
      rate = StartRate(perSecond: plan.startRate)
    }
  }

  /// The tenant of a group, and how far its user has been looked up.
  final class Tenancy {
    let template: Template
    let tenant: Tenant
    let userNumber: Int?
    /// The plan has the user's groups and home.
    fileprivate(set) var hasUser: Bool
    fileprivate(set) var lookup: UserLookup?
    fileprivate(set) var hasLeft = false
    /// Loaded by a preloader of the group; nil: it has none.
    var script: ScriptPath?

    init(_ template: Template, _ occupant: GroupScoreboard.Occupant, _ script: ScriptPath?) {
      self.template = template
      tenant = occupant.tenant
      self.script = script
      userNumber = occupant.userNumber
      hasUser = template.plan.owners == nil
    }
  }

  // MARK: a group for a tenant

  enum Admission {
    case group(Group)
    /// An errno value.
    case refused(Int32)
    /// Another group is making room, or the lane has no turn.
    case waiting
  }

  /// The group of a tenant, made if it is not there.
  func admit(_ ask: GroupActivation.Ask, _ template: Template, now: Int64) -> Admission {
    guard let tenant = ask.tenant, template.plan.allows(tenant) else { return .refused(EPERM) }
    if let group = template.groups[tenant.key] { return .group(group) }
    guard mayOpenQueues else { return .refused(ESHUTDOWN) }
    guard askPace.mayMakeGroup(ask.lane, now: now) else { return .waiting }
    if template.free.isEmpty {
      guard makeRoom(template, now: now) else { return .refused(EBUSY) }
      guard !template.free.isEmpty else {
        template.waiting.removeAll { !isOpen($0) }
        template.waiting.append(ask)
        return .waiting
      }
    }
    guard let place = template.free.popLast(), let scoreboard = memory.writer(place) else { return .refused(EBUSY) }
    template.plan.forgetCounts(place)
    scoreboard.erase()
    let occupant = GroupScoreboard.Occupant(tenant: tenant, userNumber: userNumber(tenant.user, place, template))
    scoreboard.occupant = occupant
    return .group(add(occupant, template, place, scoreboard))
  }

  private func add(
    _ occupant: GroupScoreboard.Occupant, _ template: Template, _ place: Int, _ scoreboard: GroupScoreboard
  ) -> Group {
    let tenancy = Tenancy(template, occupant, scoreboard.script)
    let group = add(Group(template.plan.plan(occupant.tenant, nil), scoreboard, place: place, tenancy: tenancy))
    group.idleSince = Clock.monotonicMicroseconds()
    template.groups[occupant.tenant.key] = group
    return group
  }

  /// The number under which a user's groups are counted together.
  private func userNumber(_ user: UInt32, _ place: Int, _ template: Template) -> Int? {
    let others = templates.values.flatMap(\.groups.values).compactMap(\.tenancy)
    return template.plan.number(of: user, place, beside: others.map { ($0.tenant.user, $0.userNumber) })
  }

  /// Takes over the group that an earlier supervisor made in a place; nil: there is none.
  func adoptTenant(_ place: Int) -> Group? {
    guard let template = templates.values.first(where: { $0.plan.places.contains(place) }),
      let scoreboard = memory.writer(place), let occupant = scoreboard.occupant, template.plan.allows(occupant.tenant),
      template.groups[occupant.tenant.key] == nil
    else { return nil }
    template.free.removeAll { $0 == place }
    return add(occupant, template, place, scoreboard)
  }

  /// Frees places whose groups an earlier supervisor has left without a queue.
  func forgetAbsentTenants() {
    for template in templates.values {
      for place in template.free { if let row = memory.writer(place), row.occupant != nil { row.erase() } }
    }
  }

  // MARK: room

  /// How long a group must have had nothing to do before another may take its place.
  private static let leastIdleness: Int64 = 1_000_000
  /// How long a template is taken to be full after it was looked at.
  private static let fullPause: Int64 = 100_000

  /// Has the group that has been idle for longest make room for another. False: none is idle.
  private func makeRoom(_ template: Template, now: Int64) -> Bool {
    guard now >= template.fullUntil else { return false }
    if template.groups.values.contains(where: \.isMakingRoom) { return true }
    let idle = template.groups.values.filter { isIdle($0, now: now) }.sorted { $0.idleSince < $1.idleSince }
    // One without processes leaves at once.
    for group in idle where group.processes.isEmpty {
      leave(group, now: now)
      if group.hasLeft { return true }
    }
    guard let longest = idle.first(where: { !$0.processes.isEmpty }) else {
      template.fullUntil = now &+ Self.fullPause
      return false
    }
    longest.isMakingRoom = true
    longest.preloader = nil
    note(longest)
    log(
      longest, .info,
      "Process group '\(longest.plan.name)' ends its idle processes: max-groups= of its template allows no more groups.")
    retire(longest.workers.count, longest)
    return true
  }

  /// Whether a group has nothing to do. This is where it is looked at that of groups whose number of processes is fixed.
  private func isIdle(_ group: Group, now: Int64) -> Bool {
    guard !group.isFinished, !group.isHalted, group.reload == nil, wsgi_posix_waiting(group.queue.readEnd) <= 0 else {
      return false
    }
    guard group.workers.allSatisfy({ $0.state == .ready }) else { return false }
    countRequests(group, now: now)
    guard group.idleSince <= now &- Self.leastIdleness else { return false }
    return !group.workers.isEmpty || group.demand.wanted == 0 || group.demand.isFixed
  }

  /// Ends a group that has no process. A request that came at the last moment keeps it, unless the group is an impostor's.
  func leave(_ group: Group, isImpostor: Bool = false, now: Int64) {
    guard let tenancy = group.tenancy, !tenancy.hasLeft, group.processes.isEmpty else { return }
    group.isMakingRoom = false
    if group.queue.readEnd >= 0 {
      guard isImpostor || wsgi_posix_waiting(group.queue.readEnd) <= 0 else { return }
      guard endQueue(group, now: now) else { return }
    }
    tenancy.hasLeft = true
    endLookup(tenancy)
    giveUpLeftovers(group)
    reportMissing(group, now: now, isLast: true)
    removeControlGroup(of: group)
    group.scoreboard.erase()
    remove(group)
    let template = tenancy.template
    template.groups[tenancy.tenant.key] = nil
    template.free.append(group.place)
    let waiting = template.waiting
    template.waiting = []
    for ask in waiting where isOpen(ask) { answer(ask) }
  }

  // MARK: its user

  /// Finds out who the processes of a group are to be, where it has something to start.
  func identify(_ group: Group, now: Int64) {
    guard let tenancy = group.tenancy, tenancy.template.plan.owners != nil else { return }
    if let lookup = tenancy.lookup { return take(lookup, group, tenancy, now: now) }
    if group.processes.isEmpty, group.demand.wanted == 0 {
      // By the next time the user may have moved, or have gone.
      tenancy.hasUser = false
    }
    guard !tenancy.hasUser, !group.isFinished, !isStopping, now >= group.notBefore,
      group.demand.wanted > 0 || !group.workers.isEmpty, takeTurn(group, now: now)
    else { return }
    // It is kept for the start.
    group.turn = now
    guard let lookup = UserLookup.start(tenancy.tenant.user, now: now) else {
      return lacksUser(group, String(cString: strerror(errno)), now: now)
    }
    tenancy.lookup = lookup
    unattended.append(lookup.pid)
    poller.watch(lookup.descriptor, .lookup(group), events: Poller<Source>.readable)
  }

  private func take(_ lookup: UserLookup, _ group: Group, _ tenancy: Tenancy, now: Int64) {
    let outcome = lookup.read()
    if outcome == .pending, now < lookup.deadline { return }
    endLookup(tenancy)
    switch outcome {
    case .found(let entry):
      guard tenancy.template.plan.allows(entry, for: tenancy.tenant) else {
        lacksUser(group, "the user '\(entry.name.text)' is not that of the template's key=", now: now)
        // Whose name it is gets a group with the next request.
        return leave(group, isImpostor: true, now: now)
      }
      group.identify(entry)
    case .pending: lacksUser(group, "the system's user database does not answer", now: now)
    case .none: lacksUser(group, "there is no such user", now: now)
    }
  }

  private func endLookup(_ tenancy: Tenancy) {
    guard let lookup = tenancy.lookup else { return }
    poller.forget(lookup.descriptor)
    lookup.end()
    tenancy.lookup = nil
  }

  private func lacksUser(_ group: Group, _ why: String, now: Int64) {
    group.backoff.failedToStart(started: now, now: now)
    log(
      group, .alert,
      "WSGI0728: Cannot start process group '\(group.plan.name)': uid \(group.tenancy?.tenant.user ?? 0) cannot be looked up:"
        + " \(why). \(retryText(group, now: now))")
  }

  // MARK: its turn

  /// Whether a process of the group may start now, by the rate of its template.
  func takeTurn(_ group: Group, now: Int64) -> Bool {
    guard let template = group.tenancy?.template else { return true }
    let turn = group.turn ?? template.rate.takeTurn(now: now)
    group.turn = turn <= now ? nil : turn
    return turn <= now
  }
}

extension Supervisor.Group {
  /// Its place is free for another, or another's.
  var hasLeft: Bool { tenancy?.hasLeft ?? false }

  /// Its plan says who its processes run as.
  var hasUser: Bool { tenancy?.hasUser ?? true }

  fileprivate func identify(_ entry: UserEntry) {
    guard let tenancy else { return }
    plan = tenancy.template.plan.plan(tenancy.tenant, entry)
    tenancy.hasUser = true
  }
}
