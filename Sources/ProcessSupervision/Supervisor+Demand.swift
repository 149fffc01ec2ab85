import CPosix
import WSGICore

extension Supervisor.Group {
  /// Whether a request that comes into the queue is a reason to start a process.
  var awaitsRequests: Bool { !isHalted && demand.awaitsRequests(active: active, starting: starting) }

  /// When its demand is to be looked at next; `.max`: when something happens.
  var demandDeadline: Int64 {
    guard !demand.isFixed, !isFinished, !isHalted else { return .max }
    return min(demand.waitingSince == nil ? .max : nextLook, demand.nextCount)
  }
}

extension Supervisor {
  /// Adjusts the number of processes that a group is to have to what there is to do, and has those end that are too many.
  func adjustDemand(_ group: Group, now: Int64) {
    guard !group.demand.isFixed, !group.isFinished, !group.isHalted, group.endingSince == nil, group.renewAt == nil,
      group.queue.readEnd >= 0
    else { return }
    let starting = group.starting &+ (group.reload?.candidates.count ?? 0)
    group.demand.look(
      isWaiting: wsgi_posix_waiting(group.queue.readEnd) > 0, active: group.active, starting: starting, now: now)
    group.nextLook = now &+ Demand.tick
    guard group.reload == nil, group.demand.nextCount <= now || group.demand.nextCount == .max else { return }
    let busy = countRequests(group, now: now)
    let hasRun = group.hasRun
    group.hasRun = false
    guard group.demand.count(busy: busy, hasRun: hasRun, active: group.active, now: now) else { return }
    retire(group.active &- group.demand.wanted, group)
  }

  /// Threads of the group that are busy. Takes note of whether any has run a request since. A worker that reports falsely can
  /// keep itself alive, and others of its group, but no other group.
  @discardableResult
  func countRequests(_ group: Group, now: Int64) -> Int {
    var busy = 0
    for worker in group.workers where worker.state == .ready {
      guard let activity = group.activities?.activity(ofSlot: worker.slot) else {
        (group.idleSince, group.hasRun) = (now, true)
        return .max
      }
      busy = busy &+ (activity.isSaturated ? max(activity.busy, group.plan.settings.threads) : activity.busy)
      if activity.busy > 0 || activity.completed != worker.completed { group.idleSince = now }
      if activity.completed != worker.completed { group.hasRun = true }
      worker.lately = worker.lately / 2 &+ (activity.completed &- worker.completed)
      worker.completed = activity.completed
    }
    return busy
  }

  /// Ends so many workers that have nothing to do, those first that have done least of late. A request that comes in this moment
  /// stays in the queue, and has a process started if none is left.
  func retire(_ count: Int, _ group: Group) {
    let idle = group.workers.filter { $0.state == .ready }.sorted { $0.lately < $1.lately }
    for worker in idle.prefix(max(count, 0)) {
      worker.channel.send(.drain(.idleTimeout))
      beginDraining(worker, group)
    }
  }
}
