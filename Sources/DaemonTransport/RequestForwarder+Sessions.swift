import Glibc
import Platform
import RequestCounting
import WSGICore

/// An httpd child's side of a request whose session may stay with a process.
public protocol SessionOrigin: RequestOrigin, ~Copyable {
  /// The write end of the queue of the session's slot; nil: it has none, none serves it, or it did not take the request.
  mutating func slotQueue() -> Int32?
  /// Whether a process still serves that slot.
  func isSlotServed() -> Bool
  /// The slot did not take the request, which goes to the group's queue.
  mutating func slotPassed()
  /// More messages than lie in the queues of all slots.
  func mostInSlots() -> Int
  /// Where the processes of the group note that they took the request (`RequestOwners.taker`).
  mutating func willBeNoted(at place: UInt32)
}

// Requests whose session has a slot: they wait in the queue of that before they go to the group's.
extension RequestForwarder {
  /// As `run`, for a request of a group whose sessions stay with processes. A slot has `patience`, in milliseconds, to take it.
  public mutating func run<Origin: SessionOrigin & ~Copyable>(
    _ head: UnsafeRawBufferPointer, on group: GroupQueue, patience: Int64, logLevel: LogLevel, origin: inout Origin
  ) -> DaemonOutcome {
    if let crowding = seat.enterWithPatience(group.row, limit: group.inFlightLimit, queue: group.writeEnd) {
      return .failed(.overloaded(crowding))
    }
    var start = Clock.monotonicMicroseconds()
    defer {
      let now = Clock.monotonicMicroseconds()
      seat.pace(group.row).note(now &- start, now: now)
      seat.leave(group.row)
    }
    let bodyTime = origin.receiveBody()
    start &+= bodyTime &* 1000
    var envelope = QueueEnvelope()
    envelope.bodyTime = UInt32(clamping: bodyTime)
    envelope.logLevel = logLevel
    if group.queueTimeout > 0 { envelope.flags = .announce }
    origin.willBeNoted(at: group.owners?.place(child: seat.index, thread: thread) ?? 0)
    while true {
      let result: Attempt
      if let queue = origin.slotQueue(), seat.mayUseSlots(group.row, mostLeft: { origin.mostInSlots() }),
        let inSlot = attempt(head, envelope, at: queue, patience, on: group, origin: &origin)
      {
        result = inSlot
      } else {
        result = attempt(head, envelope, on: group, origin: &origin)
      }
      switch result {
      case .ended(let outcome):
        if case .failed(let failure) = outcome, failure.isGivingUp { seat.giveUp(group.row) }
        return outcome
      case .stale:
        guard envelope.attempt < group.attempts else { return .failed(.requeuedTooOften(attempts: envelope.attempt)) }
        envelope.attempt += 1
        origin.requeued(attempt: envelope.attempt)
      }
    }
  }

  /// One time through the queue of a session slot. nil: no process has taken the request from there, and none will.
  private mutating func attempt<Origin: SessionOrigin & ~Copyable>(
    _ head: UnsafeRawBufferPointer, _ envelope: QueueEnvelope, at queue: Int32, _ patience: Int64, on group: GroupQueue,
    origin: inout Origin
  ) -> Attempt? {
    let kind = channelKind(head, group.row.slot)
    var envelope = envelope
    envelope.flags.insert(.revocable)
    if kind == .plain { envelope.flags.insert(.plain) }
    if !group.acceptsDescriptors { envelope.flags.insert(.bytesOnly) }
    envelope.queueStart = Clock.epochMicroseconds()
    envelope.place = group.owners?.place(child: seat.index, thread: thread) ?? 0
    guard let owners = group.owners, envelope.place > 0 else { return nil }
    owners.offer(envelope)
    let watch = kind == .plain ? OwnerWatch(envelope, group) : nil
    var pair: ChannelPair
    do throws(QueueFailure) {
      pair = try takePair(kind, isKept: watch != nil, for: group)
    } catch {
      return .ended(.failed(.system(errno: error.errno)))
    }
    guard case .done = QueueWriter.send(head, envelope, channel: pair.far.number, to: queue) else {
      // It is full, or shut down.
      origin.slotPassed()
      return nil
    }
    if watch == nil { pair.closeFar() }
    let limit = group.queueTimeout > 0 ? min(patience, group.queueTimeout) : patience
    guard isTaken(envelope, owners, pair.near.number, until: Clock.monotonicMilliseconds() &+ limit, origin) else {
      // Its message stays there until a process comes to it.
      seat.leaveInSlot(group.row)
      origin.slotPassed()
      return nil
    }
    return finish(head, envelope, kind, pair, watch, on: group, origin: &origin)
  }

  /// Waits for a process to take the request from a slot's queue. False: it was taken back, and no process will run it.
  private func isTaken<Origin: SessionOrigin & ~Copyable>(
    _ envelope: QueueEnvelope, _ owners: RequestOwners, _ channel: Int32, until deadline: Int64, _ origin: borrowing Origin
  ) -> Bool {
    var slice = OwnerWatch.firstLook
    while owners.isOffered(envelope) {
      let remaining = deadline &- Clock.monotonicMilliseconds()
      guard remaining > 0, origin.isSlotServed() else { return !owners.revoke(envelope) }
      // What is there to be read comes from a process that has laid claim to it; a hang-up comes from the end of the queue.
      let events = waitUntilReady(channel, for: readable, milliseconds: min(slice, remaining)).first
      if events != 0, owners.isOffered(envelope) { return !owners.revoke(envelope) }
      slice = min(slice &* 2, 250)
    }
    return true
  }
}
