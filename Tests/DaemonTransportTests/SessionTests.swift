import CPosix
import Glibc
import Platform
import RequestCounting
import Synchronization
import Testing
import WSGICore

@testable import DaemonTransport

/// Requests that wait in the queue of a session slot, and go to the group's when they are not taken there.
@Suite struct SessionTests {
  private struct Origin: SessionOrigin, ~Copyable {
    var base = RecordingOrigin()
    var slot: Int32
    var hasProcess = true
    var place: UInt32 = 0
    var passed = 0

    init(slot: Int32) { self.slot = slot }
    mutating func slotQueue() -> Int32? { passed == 0 ? slot : nil }
    func isSlotServed() -> Bool { hasProcess }
    mutating func slotPassed() { passed += 1 }
    func mostInSlots() -> Int { ChildSeat.mostMessages(in: slot) }
    mutating func willBeNoted(at place: UInt32) { self.place = place }

    mutating func receiveBody() -> Int64 { 0 }
    func isClientBehind() -> Bool { false }
    var clientTimeoutMilliseconds: Int64 { 0 }
    mutating func clientTimedOut() {}
    mutating func makeSpoolFile() -> Int32 { -ENOSPC }
    mutating func spoolFailed(_ failure: SpoolFailure) {}
    mutating func readBody(into buffer: UnsafeMutableRawBufferPointer) -> BodyRead { base.readBody(into: buffer) }
    var bodyDescriptor: Int32 { base.bodyDescriptor }
    var bodyTimeoutMilliseconds: Int64 { base.bodyTimeoutMilliseconds }
    mutating func begin(_ head: UnsafeRawBufferPointer) -> Bool { base.begin(head) }
    mutating func write(_ bytes: UnsafeRawBufferPointer) -> Bool { base.write(bytes) }
    mutating func end(_ bytes: UnsafeRawBufferPointer) -> Bool { base.end(bytes) }
    mutating func flush() -> Bool { base.flush() }
    mutating func sendFile(_ file: consuming Descriptor, offset: Int64, length: Int64) -> Bool {
      base.sendFile(file, offset: offset, length: length)
    }
    mutating func log(level: LogLevel, file: UnsafeRawBufferPointer, line: UInt32, text: UnsafeRawBufferPointer) {
      base.log(level: level, file: file, line: line, text: text)
    }
    func isServed() -> Bool { true }
    mutating func requeued(attempt: UInt32) { base.requeued(attempt: attempt) }
  }

  /// A group with one slot, and a child with one thread.
  private final class Group: @unchecked Sendable {
    let group: RequestQueue
    let slot: RequestQueue
    let board: RequestOwners
    let book: RequestBook
    let row: RequestBook.Row
    var forwarder: RequestForwarder

    init() throws {
      signal(SIGPIPE, SIG_IGN)
      group = try RequestQueue(backlog: 100)
      slot = try RequestQueue(backlog: 1)
      let (board, file) = try #require(RequestOwners.make(children: 1, threads: 1))
      close(file)
      self.board = board
      book = try #require(RequestBook(rows: 1, children: 1))
      row = try #require(book.row(0))
      forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
    }

    /// Takes requests from both queues, answers them, and says which process did.
    func serve(_ pid: UInt32, requests: Int, fromSlot: Bool = true, _ seen: SeenRequests) -> Background {
      Background { [self] in
        var reader = QueueReader()
        var both = SessionReader(
          slot: fromSlot ? slot.readEnd.number : -1, group: group.readEnd.number, owners: board, processID: pid)
        for _ in 0..<requests {
          guard case .request(let channel, let envelope) = both.receive(from: group.readEnd.number, &reader) else { return }
          board.noteBegun(envelope, pid: pid)
          seen.note(pid)
          SessionTests.answer(channel, envelope)
        }
      }
    }

    func run(patience: Int64, flags: RequestHead.Flags = [], _ origin: inout Origin) -> DaemonOutcome {
      var queue = GroupQueue(row: row, writeEnd: group.writeEnd.number)
      queue.owners = board
      queue.socketTimeout = 20_000
      return requestHead(flags).withUnsafeBytes {
        forwarder.run($0, on: queue, patience: patience, logLevel: .alert, origin: &origin)
      }
    }
  }

  final class SeenRequests: Sendable {
    private let pids = Mutex<[UInt32]>([])
    func note(_ pid: UInt32) { pids.withLock { $0.append(pid) } }
    var all: [UInt32] { pids.withLock { $0 } }
  }

  private static func answer(_ channel: Int32, _ envelope: QueueEnvelope) {
    var server = ChannelServer(workerID: 1, socketTimeout: 2000)
    server.open(channel, envelope.channelKind)
    server.fail(status: 503)
    server.close()
  }

  @Test(arguments: [RequestHead.Flags(), .hasBody])
  func aSlotTakesItsRequestsBesideTheGroups(flags: RequestHead.Flags) throws {
    let group = try Group()
    let seen = SeenRequests()
    let worker = group.serve(7, requests: 20, seen)
    for number in 0..<20 {
      var origin = Origin(slot: group.slot.writeEnd.number)
      if number % 3 == 0 { origin.passed = 1 }
      #expect(group.run(patience: 20_000, flags: flags, &origin) == .failed(.answered(status: 503)))
      #expect(group.board.taker(at: origin.place) == 7)
    }
    worker.join()
    #expect(seen.all.count == 20 && group.row.inFlightNow == 0)
  }

  @Test(arguments: [RequestHead.Flags(), .hasBody])
  func whatASlotDoesNotTakeIsTakenBackAndRunsOnce(flags: RequestHead.Flags) throws {
    let group = try Group()
    let seen = SeenRequests()
    let other = group.serve(8, requests: 5, fromSlot: false, seen)
    for _ in 0..<5 {
      var origin = Origin(slot: group.slot.writeEnd.number)
      #expect(group.run(patience: 20, flags: flags, &origin) == .failed(.answered(status: 503)))
      #expect(origin.passed == 1)
    }
    other.join()
    #expect(seen.all == [8, 8, 8, 8, 8])
    #expect(wsgi_posix_unread(group.slot.writeEnd.number) > 0)
    // The slot's process comes back to them, and has one request to run: the last.
    let late = group.serve(7, requests: 1, seen)
    var origin = Origin(slot: group.slot.writeEnd.number)
    #expect(group.run(patience: 20_000, flags: flags, &origin) == .failed(.answered(status: 503)))
    late.join()
    #expect(seen.all == [8, 8, 8, 8, 8, 7] && origin.passed == 0)
    #expect(wsgi_posix_unread(group.slot.writeEnd.number) == 0)
  }

  @Test func aSlotThatNobodyServesAnyMoreIsLeftAtOnce() throws {
    let group = try Group()
    let seen = SeenRequests()
    let other = group.serve(8, requests: 1, fromSlot: false, seen)
    var origin = Origin(slot: group.slot.writeEnd.number)
    origin.hasProcess = false
    #expect(group.run(patience: 3_600_000, &origin) == .failed(.answered(status: 503)))
    other.join()
    #expect(origin.passed == 1 && seen.all == [8])
  }

  @Test func aSlotThatIsFullOrShutDownIsNotWaitedFor() throws {
    for isFull in [true, false] {
      let group = try Group()
      let seen = SeenRequests()
      if isFull {
        while sendMessage([1], to: group.slot.writeEnd.number, flags: Int32(MSG_DONTWAIT)) > 0 {}
      } else {
        shutdown(group.slot.readEnd.number, Int32(SHUT_RD))
      }
      let other = group.serve(8, requests: 1, fromSlot: false, seen)
      var origin = Origin(slot: group.slot.writeEnd.number)
      #expect(group.run(patience: 3_600_000, &origin) == .failed(.answered(status: 503)))
      other.join()
      #expect(origin.passed == 1 && seen.all == [8])
    }
  }

  /// The process shuts its own slot's queue down, and goes on with the group's.
  @Test func aReaderOutlivesItsSlot() throws {
    let group = try Group()
    let seen = SeenRequests()
    shutdown(group.slot.readEnd.number, Int32(SHUT_RD))
    let worker = group.serve(7, requests: 3, seen)
    for _ in 0..<3 {
      var origin = Origin(slot: group.slot.writeEnd.number)
      #expect(group.run(patience: 3_600_000, &origin) == .failed(.answered(status: 503)))
    }
    worker.join()
    #expect(seen.all == [7, 7, 7])
  }

  /// One side has a request, whoever is first.
  @Test func aClaimAndARevocationExcludeEachOther() throws {
    let (board, file) = try #require(RequestOwners.make(children: 1, threads: 1))
    defer { close(file) }
    let worker = try #require(RequestOwners(file: file))
    var wins = [0, 0]
    for number in 0..<2_000 {
      var envelope = QueueEnvelope()
      envelope.queueStart = Int64(number + 1)
      envelope.place = board.place(child: 0, thread: 0)
      board.offer(envelope)
      #expect(board.isOffered(envelope) && board.taker(at: envelope.place) == 0)
      let claimed = Atomic<Bool>(false)
      let gate = Atomic<Int>(0)
      let one = envelope
      let thread = Background {
        gate.add(1, ordering: .sequentiallyConsistent)
        while gate.load(ordering: .sequentiallyConsistent) < 2 {}
        claimed.store(worker.claim(one, pid: 5), ordering: .sequentiallyConsistent)
      }
      gate.add(1, ordering: .sequentiallyConsistent)
      while gate.load(ordering: .sequentiallyConsistent) < 2 {}
      let revoked = board.revoke(envelope)
      thread.join()
      #expect(claimed.load(ordering: .sequentiallyConsistent) != revoked)
      wins[revoked ? 1 : 0] += 1
      #expect(board.taker(at: envelope.place) == (revoked ? 0 : 5) && !worker.claim(envelope, pid: 5) && !board.revoke(envelope))
    }
  }
}
