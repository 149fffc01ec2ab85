import WSGICore

/// Session slots: as many as a group may have processes. A process has one for life, and the one that comes in its place has the
/// same, so that a session outlives every process.
extension Supervisor {
  /// The slot for a new worker; -1: the group has none. A candidate gets that of a worker for which it is to make up, those first
  /// which asked for the new code; another worker the first that no process has.
  func sessionSlot(in group: Group, isCandidate: Bool) -> Int {
    guard group.sessionQueues >= 0, group.plan.sessionSlots > 0 else { return -1 }
    var holders = [Int](repeating: 0, count: group.plan.sessionSlots)
    var isLeft = holders
    for worker in group.workers where holders.indices.contains(worker.sessionSlot) && !worker.isDone {
      if worker.state == .candidate || !isCandidate && worker.isActive { holders[worker.sessionSlot] += 1 }
      guard isCandidate, worker.isActive else { continue }
      let hasAsked = group.reload?.waiting.contains(worker.instance) ?? false
      isLeft[worker.sessionSlot] = max(isLeft[worker.sessionSlot], hasAsked ? 2 : 1)
    }
    return holders.indices.min { (holders[$0], -isLeft[$0], $0) < (holders[$1], -isLeft[$1], $1) } ?? -1
  }

  /// Has requests for the slots of these candidates, which are about to begin, wait for them.
  func keepSessionsWaiting(for candidates: [Worker]) {
    for candidate in candidates where candidate.sessionSlot >= 0 && candidate.hasSettled && !candidate.isDone && candidate.pid > 0
    {
      candidate.group.scoreboard[slot: candidate.slot].isNext = true
    }
  }
}

extension GroupScoreboard {
  /// Whether a process serves a session slot, or starts for it.
  public func serves(session: Int) -> Bool {
    for index in 0..<slotCount {
      let occupant = occupant(ofSlot: index)
      if occupant.session == session, occupant.serves || occupant.state == WorkerState.starting.rawValue { return true }
    }
    return false
  }

  /// Calls `body` with each session slot whose process takes requests, or is about to, perhaps more than once.
  public func forEachServingSession(_ body: (Int) -> Void) {
    for index in 0..<slotCount {
      let occupant = occupant(ofSlot: index)
      if occupant.serves { body(occupant.session) }
    }
  }

  /// The session slot of a process that lives; nil: it has none, or is no process of the group.
  public func session(of pid: UInt32) -> Int? {
    guard pid > 0 else { return nil }
    for index in 0..<slotCount {
      let occupant = occupant(ofSlot: index)
      if occupant.pid == Int32(bitPattern: pid) { return occupant.session >= 0 ? occupant.session : nil }
    }
    return nil
  }
}
