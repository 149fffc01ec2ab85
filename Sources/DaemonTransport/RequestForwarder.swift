import CPosix
import Glibc
import Platform
import RequestCounting
import WSGICore

/// Runs requests in daemon processes: the httpd child's side of queue and channel.
///
/// One per thread, kept between requests: it owns that thread's buffers. Not safe to share.
public struct RequestForwarder: ~Copyable {
  var input = ChannelInput()
  var upload = BodyUpload()
  var spool = ResponseSpool()
  let seat: ChildSeat
  /// Among those of this child.
  let thread: Int
  /// The channel of the last request, if that ended as it should.
  private var spare: ChannelPair?
  /// By group: for how many more requests a file is to be expected.
  private var fileCredit: [UInt16] = []
  private static let fileCreditOfOne: UInt16 = 64

  public init(seat: ChildSeat) {
    self.seat = seat
    thread = seat.countThread()
  }

  /// Runs one request: waits in the queue, and then sees to body and response until the response is complete or cannot be.
  ///
  /// `head` is the encoded `RequestHead`; `logLevel` the highest level that the request's log would keep.
  public mutating func run<Origin: RequestOrigin & ~Copyable>(
    _ head: UnsafeRawBufferPointer, on group: GroupQueue, logLevel: LogLevel, origin: inout Origin
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
    while true {
      switch attempt(head, envelope, on: group, origin: &origin) {
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

  enum Attempt {
    case ended(DaemonOutcome)
    case stale
  }

  /// One time through the queue, on a channel of its own.
  mutating func attempt<Origin: RequestOrigin & ~Copyable>(
    _ head: UnsafeRawBufferPointer, _ envelope: QueueEnvelope, on group: GroupQueue, origin: inout Origin
  ) -> Attempt {
    let kind = channelKind(head, group.row.slot)
    var envelope = envelope
    if kind == .plain { envelope.flags.insert(.plain) }
    if !group.acceptsDescriptors { envelope.flags.insert(.bytesOnly) }
    envelope.queueStart = Clock.epochMicroseconds()
    envelope.place = group.owners?.place(child: seat.index, thread: thread) ?? 0
    group.owners?.begin(envelope)
    let watch = kind == .plain ? OwnerWatch(envelope, group) : nil
    var pair: ChannelPair
    do throws(QueueFailure) {
      pair = try takePair(kind, isKept: watch != nil, for: group)
    } catch {
      return .ended(.failed(.system(errno: error.errno)))
    }
    if let failure = enqueue(head, envelope, channel: pair.far.number, on: group) { return .ended(.failed(failure)) }
    // Without a watch for the worker's death, its end of the channel must be the only one.
    if watch == nil { pair.closeFar() }
    if !origin.isServed() || origin.isStarting() || group.queueTimeout > 0 {
      if let failure = awaitTaking(envelope, pair.near.number, on: group, origin: &origin) { return .ended(.failed(failure)) }
    }
    return finish(head, envelope, kind, pair, watch, on: group, origin: &origin)
  }

  /// Sees to body and response of a request that lies in a queue, or has been taken from it.
  @inline(__always)
  mutating func finish<Origin: RequestOrigin & ~Copyable>(
    _ head: UnsafeRawBufferPointer, _ envelope: QueueEnvelope, _ kind: ChannelKind, _ pair: consuming ChannelPair,
    _ watch: OwnerWatch?, on group: GroupQueue, origin: inout Origin
  ) -> Attempt {
    input.reset(acceptsDescriptors: kind == .socket && group.acceptsDescriptors)
    upload.reset()
    var reader = ResponseReader(channel: pair.near.number, kind: kind, group: group, wantsRanges: wantsRanges(head), watch: watch)
    let result = readResponse(&reader, origin: &origin)
    if reader.sendsFile, group.acceptsDescriptors { expectFiles(group.row.slot) }
    if watch != nil, case .ended(.done) = result, input.count == 0 {
      spare = consume pair
      return result
    }
    // A process that finds the request from here on sees that it was given up.
    _ = consume pair
    if case .ended(.failed(.workerEnded(let pid))) = result, let owners = group.owners {
      // It went down with a process that had just taken it, or with a queue. (A process that finds it all the same sees that it
      // was given up.)
      if !upload.wasWanted, owners.isUntouched(envelope) { return .stale }
      if pid == 0 { return .ended(.failed(.workerEnded(pid: owners.taker(of: envelope)))) }
    }
    return result
  }

  mutating func takePair(_ kind: ChannelKind, isKept: Bool, for group: GroupQueue) throws(QueueFailure) -> ChannelPair {
    if isKept, let pair = spare.take(), pair.group == group.row.slot { return pair }
    return try ChannelPair(kind, isKept: isKept, for: group)
  }

  @inline(__always)
  private func flags(_ head: UnsafeRawBufferPointer) -> RequestHead.Flags? {
    guard head.count >= RequestHead.flagsOffset + 4 else { return nil }
    return RequestHead.Flags(rawValue: head.loadUnaligned(fromByteOffset: RequestHead.flagsOffset, as: UInt32.self))
  }

  @inline(__always)
  private func wantsRanges(_ head: UnsafeRawBufferPointer) -> Bool { flags(head)?.contains(.wantsRanges) == true }

  /// The cheapest channel that will do.
  @inline(__always)
  mutating func channelKind(_ head: UnsafeRawBufferPointer, _ group: Int) -> ChannelKind {
    guard let flags = flags(head), flags.isDisjoint(with: [.hasBody, .wantsRanges]) else { return .socket }
    guard fileCredit.indices.contains(group), fileCredit[group] > 0 else { return .plain }
    fileCredit[group] -= 1
    return .socket
  }

  @inline(never)
  private mutating func expectFiles(_ group: Int) {
    guard (0..<4096).contains(group) else { return }
    while fileCredit.count <= group { fileCredit.append(0) }
    fileCredit[group] = RequestForwarder.fileCreditOfOne
  }

  /// A full queue is not said to have room before three quarters of it are free again, and a limit on descriptors under way is
  /// not said at all: so it is also tried again every now and then. A queue that was shut down has a successor soon.
  private func enqueue(
    _ head: UnsafeRawBufferPointer, _ envelope: QueueEnvelope, channel: Int32, on group: GroupQueue
  ) -> DaemonFailure? {
    lazy var deadline = Clock.monotonicMilliseconds() &+ group.connectTimeout
    var wasReady = false
    while true {
      switch QueueWriter.send(head, envelope, channel: channel, to: group.writeEnd) {
      case .done: return nil
      case .failed(let errno): return .system(errno: errno)
      case .full:
        let remaining = deadline &- Clock.monotonicMilliseconds()
        guard remaining > 0 else { return .queueFull }
        wasReady = waitUntilReady(wasReady ? -1 : group.writeEnd, for: writable, milliseconds: min(remaining, 50)).first != 0
      case .closed:
        guard group.renewal >= 0 else { return .queueClosed }
        // The number is all threads'. A thread that is late puts an older queue there for a moment, and the next comes back here.
        let result = wsgi_posix_take_over_queue(group.renewal, group.writeEnd, -1)
        if result == 1, case .done = QueueWriter.send(head, envelope, channel: channel, to: group.writeEnd) { return nil }
        let remaining = deadline &- Clock.monotonicMilliseconds()
        guard result >= 0, remaining > 0 else { return .queueClosed }
        // What is offered may be what has just been found closed: it has its successor in a moment.
        _ = waitUntilReady(result == 0 ? group.renewal : -1, for: readable, milliseconds: min(remaining, 20))
      }
    }
  }

  /// Waits for a process to take the request where that is limited. The request stays in the queue meanwhile, so that the first
  /// process to be ready has it at once; a process that finds it after we gave up sees a closed channel.
  @inline(never)
  private func awaitTaking<Origin: RequestOrigin & ~Copyable>(
    _ envelope: QueueEnvelope, _ channel: Int32, on group: GroupQueue, origin: inout Origin
  ) -> DaemonFailure? {
    let start = Clock.monotonicMilliseconds()
    var served = false
    while true {
      let waited = Clock.monotonicMilliseconds() &- start
      // Where both ends of the channel are kept, the process may have died since: who reads the response finds out.
      if let owners = group.owners, owners.taker(of: envelope) > 0 { return nil }
      let isExpected = origin.isServed()
      served = served || isExpected && !origin.isStarting()
      if origin.isHalted() { return .halted }
      if !served, !isExpected, waited >= group.connectTimeout { return .notServed }
      // The worker measures the same time and says so with a reason: let it be first.
      if group.queueTimeout > 0, waited >= group.queueTimeout &+ 250 { return .queueTimedOut }
      if served, group.queueTimeout == 0 { return nil }
      if waitUntilReady(channel, for: readable, milliseconds: 50).first != 0 { return nil }
    }
  }
}

extension ChildSeat {
  /// Counts a request in as `enter` does. Where too many are in flight but requests of the group end all the time, there will
  /// be room in no time: that is waited for, since a refusal would cost everybody more. A group that is held up has its refusal
  /// at once, and keeps no thread of httpd's from others.
  @inline(__always)
  func enterWithPatience(_ row: RequestBook.Row, limit: Int, queue: Int32 = -1) -> Crowding? {
    if givenUp(row) > 0 { forgetGivenUp(row, beyond: ChildSeat.mostMessages(in: queue)) }
    return enter(row, limit: limit).flatMap { wait(after: $0, row, limit: limit) }
  }

  @inline(never)
  private func wait(after crowding: Crowding, _ row: RequestBook.Row, limit: Int) -> Crowding? {
    let pace = pace(row)
    let crowd = crowding == .queueLimit ? limit : pace.inFlightNow
    guard pace.isQuick(limit: crowd) else { return crowding }
    let start = Clock.monotonicMicroseconds()
    while true {
      usleep(500)
      guard let crowding = enter(row, limit: limit) else { return nil }
      if !pace.mayWait(since: start, now: Clock.monotonicMicroseconds()) { return crowding }
    }
  }

  /// The least room that a message takes in a queue, with the kernel's bookkeeping.
  private static let leastMessage = 512

  /// More messages than lie in a queue, whose write end is given.
  public static func mostMessages(in queue: Int32) -> Int { Int(max(0, wsgi_posix_unread(queue))) / leastMessage }
}
