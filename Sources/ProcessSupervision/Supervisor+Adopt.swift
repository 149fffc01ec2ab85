import Glibc
import Platform
import WSGICore

extension Supervisor {
  /// Takes over the workers of a supervisor that has ended, if there was one: the scoreboard says who they were, the store how
  /// to reach them.
  func adoptWorkers() {
    guard memory.hasInstances else { return }
    var kept: [UInt64: DescriptorStore.Ends] = [:]
    for ends in store.copies() { kept[ends.instance] = ends }
    let seen = Set(kept.keys)
    for group in groups {
      for (index, slot) in group.scoreboard.slots.enumerated() where slot.pid > 0 {
        adopt(slot, index, group, kept.removeValue(forKey: slot.instance))
      }
      settleCandidates(group)
      for worker in group.workers where worker.state == .ready { worker.channel.send(.takenOver) }
      if !group.workers.isEmpty {
        let pids = group.workers.map { "\($0.pid)" }.joined(separator: ", ")
        log(
          group, .info,
          "Process group '\(group.plan.name)' continues with \(group.workers.count) processes: \(pids).")
      }
    }
    for ends in kept.values { ends.closeAll() }
    let living = Set(groups.flatMap { $0.workers.map(\.instance) })
    if seen.contains(where: { !living.contains($0) }) { store.keep(living) }
  }

  private func adopt(_ slot: GroupScoreboard.Slot, _ index: Int, _ group: Group, _ ends: DescriptorStore.Ends?) {
    let worker = Worker(
      group: group, slot: index, pid: slot.pid, isChild: false, ends: ends ?? .init(instance: slot.instance),
      state: WorkerState(rawValue: slot.state) ?? .starting, startedEpoch: slot.started,
      memoryKills: ProcessFacts.memoryKills())
    worker.sessionSlot = slot.session
    // The number may be another process's by now. What the pidfd names can no longer change: only now does the time tell.
    guard ProcessFacts.startTicks(slot.pid) == slot.startTicks else {
      recordAbsence(worker, group)
      return
    }
    // Its control group was made for it, if it could be.
    group.hasControlGroup = group.plan.settings.controlGroup != nil
    if worker.state == .ready { worker.readySince = worker.started }
    group.workers.append(worker)
    if ends != nil {
      if worker.state == .draining { worker.killAt = group.plan.drainAllowance.map { Clock.monotonicMicroseconds() &+ $0 } }
      if worker.state == .stopping { worker.killAt = Clock.monotonicMicroseconds() &+ group.plan.stopAllowance }
    } else {
      // Nothing can be said to it: it finishes, and is replaced.
      setState(worker, .stopping)
      worker.killAt = Clock.monotonicMicroseconds() &+ group.plan.stopAllowance
      worker.signal(SIGTERM)
    }
  }

  /// A worker ended while there was no supervisor.
  private func recordAbsence(_ worker: Worker, _ group: Group) {
    takeLastWords(of: worker)
    leave(worker.output)
    let record = worker.endRecord(.unknown)
    enter(record, of: worker)
    log(
      group, record.isNormal ? .info : .error,
      "\(record.isNormal ? "" : "WSGI0451: ")The \(title(worker)) \(record.sentence).")
  }

  /// Only its relay can still hold something that it wrote, and has had time to pass that on.
  private func takeLastWords(of worker: Worker) {
    let deadline = Clock.monotonicMicroseconds() &+ Self.lastWordsAllowance
    worker.channel.askForRest()
    receive(from: worker)
    while worker.channel.incoming >= 0, !worker.hasHungUp, !worker.hasSaidAll, Clock.monotonicMicroseconds() < deadline {
      if worker.channel.wait(milliseconds: 20) { receive(from: worker) }
    }
  }

  /// A reload that was under way is brought to its end: the new workers serve, the old ones go.
  private func settleCandidates(_ group: Group) {
    let candidates = group.workers.filter { $0.state == .candidate }
    guard let first = candidates.map(\.instance).min() else { return }
    for worker in group.workers where worker.isActive && worker.instance < first { drain(worker, .scriptReload, group) }
    for candidate in candidates {
      candidate.readySince = candidate.started
      begin(candidate)
    }
  }
}
