import CPosix
import Glibc
import Platform
import RequestCounting
import Testing
import WSGICore

@testable import DaemonTransport

/// Channels whose two ends the child keeps: how it uses them again, and how it learns that nobody will answer.
@Suite struct OwnerWatchTests {
  /// What a worker does with the request of a number (from 0).
  private typealias Script = @Sendable (_ number: Int, _ channel: inout ChannelServer, _ request: Request) -> Void

  private struct Request {
    let board: RequestOwners
    let envelope: QueueEnvelope
    let descriptor: Int32
  }

  private final class Seen: @unchecked Sendable {
    var channels: [UInt64] = []
  }

  private static func identity(_ descriptor: Int32) -> UInt64 {
    var facts = stat()
    return fstat(descriptor, &facts) == 0 ? UInt64(facts.st_ino) : 0
  }

  /// Has requests run on groups of these indices, one after the other, all from one queue. The result: their outcomes, and which
  /// channels they came on. `isServed`: as far as the supervisor has said.
  private func run(
    _ groups: [Int], timeout: Int64 = 5000, isServed: Bool = true, flags: RequestHead.Flags = [], worker script: @escaping Script
  ) throws -> (outcomes: [DaemonOutcome], channels: [UInt64]) {
    signal(SIGPIPE, SIG_IGN)
    let (board, file) = try #require(RequestOwners.make(children: 1, threads: 1))
    close(file)
    let queue = try RequestQueue(backlog: 100)
    let readEnd = dup(queue.readEnd.number)
    let seen = Seen()
    let server = Background {
      var reader = QueueReader()
      while let request = reader.next(readEnd) {
        seen.channels.append(OwnerWatchTests.identity(request.channel))
        var channel = ChannelServer(workerID: 1, socketTimeout: 2000)
        channel.open(request.channel, request.envelope.channelKind)
        script(
          seen.channels.count - 1, &channel,
          Request(board: board, envelope: request.envelope, descriptor: request.channel))
        channel.close()
      }
      close(readEnd)
    }
    let book = try #require(RequestBook(rows: 8, children: 1))
    var forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
    var outcomes: [DaemonOutcome] = []
    for index in groups {
      var group = GroupQueue(row: try #require(book.row(index)), writeEnd: queue.writeEnd.number)
      group.owners = board
      group.socketTimeout = timeout
      group.attempts = 2
      group.connectTimeout = 2000
      var origin = RecordingOrigin()
      origin.served = isServed
      outcomes.append(requestHead(flags).withUnsafeBytes { forwarder.run($0, on: group, logLevel: .alert, origin: &origin) })
    }
    _ = consume queue
    server.join()
    book.unmap()
    return (outcomes, seen.channels)
  }

  /// A process that does nothing, and that nobody but the test ends.
  private static func process() -> pid_t {
    var pid = pid_t()
    let program = strdup("sleep")
    let argument = strdup("60")
    defer {
      free(program)
      free(argument)
    }
    var arguments: [UnsafeMutablePointer<CChar>?] = [program, argument, nil]
    return posix_spawnp(&pid, "sleep", nil, nil, &arguments, environ) == 0 ? pid : 0
  }

  private static func end(_ pid: pid_t) {
    kill(pid, SIGKILL)
    var status: Int32 = 0
    _ = systemCall { waitpid(pid, &status, 0) }
  }

  @Test func oneChannelServesTheRequestsOfAThread() throws {
    let (outcomes, channels) = try run([0, 0, 0]) { _, channel, _ in channel.answer() }
    #expect(outcomes == [.done, .done, .done])
    #expect(Set(channels).count == 1)
  }

  @Test func noChannelServesTwoGroups() throws {
    let (outcomes, channels) = try run([0, 1, 0]) { _, channel, _ in channel.answer() }
    #expect(outcomes == [.done, .done, .done])
    #expect(Set(channels).count == 3)
  }

  @Test func aRequestWithABodyHasAChannelOfItsOwn() throws {
    let (_, channels) = try run([0, 0], flags: .hasBody) { _, channel, _ in channel.answer() }
    #expect(Set(channels).count == 2)
  }

  /// What a worker sends behind the end must not become the next request's response.
  @Test func aChannelWithSomethingLeftIsNotUsedAgain() throws {
    let (outcomes, channels) = try run([0, 0]) { _, channel, request in
      var both: [UInt8] = []
      for _ in 0..<2 {
        let frame = FrameHeader(.response, flags: .end, head: 1, data: 0, extra: 1)
        both += withUnsafeTemporaryAllocation(byteCount: FrameHeader.size, alignment: 16) { space in
          if let start = space.baseAddress { frame.encode(to: start) }
          return Array(space)
        }
        both.append(UInt8(ascii: "H"))
      }
      #expect(write(request.descriptor, both, both.count) == both.count)
    }
    #expect(outcomes == [.done, .done])
    #expect(Set(channels).count == 2)
  }

  @Test func aWorkerThatGivesUpIsSeenAtOnce() throws {
    let (outcomes, channels) = try run([0, 0]) { number, channel, request in
      if number == 0 { request.board.noteBegun(request.envelope, pid: UInt32(getpid())) } else { channel.answer() }
    }
    #expect(outcomes == [.failed(.workerEnded(pid: UInt32(getpid()))), .done])
    #expect(Set(channels).count == 2)
  }

  @Test(arguments: [false, true]) func theDeathOfAProcessThatHadBegunIsAFailure(isAlreadyDead: Bool) throws {
    let pid = OwnerWatchTests.process()
    try #require(pid > 0)
    if isAlreadyDead { OwnerWatchTests.end(pid) }
    let (outcomes, channels) = try run([0, 0]) { number, channel, request in
      guard number == 0 else { return channel.answer() }
      request.board.noteBegun(request.envelope, pid: UInt32(pid))
      if !isAlreadyDead { OwnerWatchTests.end(pid) }
      // The process is dead, and its end of the channel is not to be seen: somebody else holds it.
      _ = channel.detach()
    }
    #expect(outcomes == [.failed(.workerEnded(pid: UInt32(pid))), .done])
    #expect(Set(channels).count == 2)
  }

  @Test(arguments: [false, true]) func whatADeadProcessHadNotBegunIsQueuedAgain(isServed: Bool) throws {
    let pid = OwnerWatchTests.process()
    try #require(pid > 0)
    let (outcomes, channels) = try run([0], isServed: isServed) { number, channel, request in
      guard number == 0 else { return channel.answer() }
      request.board.note(request.envelope, pid: UInt32(pid))
      OwnerWatchTests.end(pid)
      _ = channel.detach()
    }
    #expect(outcomes == [.done])
    #expect(channels.count == 2)
  }

  @Test func aProcessThatDiesBeforeTheGroupIsKnownToBeServedIsFoundOut() throws {
    let pid = OwnerWatchTests.process()
    try #require(pid > 0)
    let (outcomes, _) = try run([0], isServed: false) { _, channel, request in
      request.board.noteBegun(request.envelope, pid: UInt32(pid))
      OwnerWatchTests.end(pid)
      _ = channel.detach()
    }
    #expect(outcomes == [.failed(.workerEnded(pid: UInt32(pid)))])
  }

  /// The last words of a process are read before its death counts.
  @Test func whatADeadProcessHadSentIsTaken() throws {
    let pid = OwnerWatchTests.process()
    try #require(pid > 0)
    let (outcomes, _) = try run([0]) { _, channel, request in
      request.board.noteBegun(request.envelope, pid: UInt32(pid))
      channel.answer()
      OwnerWatchTests.end(pid)
      _ = channel.detach()
    }
    #expect(outcomes == [.done])
  }

  @Test func whatAProcessHandedOverIsNotLostWithIt() throws {
    let first = OwnerWatchTests.process()
    try #require(first > 0)
    let (outcomes, channels) = try run([0]) { _, channel, request in
      request.board.note(request.envelope, pid: UInt32(first))
      request.board.noteHandingOver(request.envelope)
      OwnerWatchTests.end(first)
      request.board.noteBegun(request.envelope, pid: UInt32(getpid()))
      // Longer than the child waits before it looks.
      _ = waitUntilReady(-1, for: 0, milliseconds: 3 * OwnerWatch.firstLook)
      channel.answer()
    }
    #expect(outcomes == [.done])
    #expect(channels.count == 1)
  }

  /// It took the request and died before it could say so.
  @Test func whatNobodyNotesToHaveIsQueuedAgain() throws {
    let (outcomes, channels) = try run([0], timeout: 20_000) { number, channel, _ in
      if number == 0 { _ = channel.detach() } else { channel.answer() }
    }
    #expect(outcomes == [.done])
    #expect(channels.count == 2)
  }

  /// A process that is busy leaves requests in the queue: those are not lost.
  @Test func whatLiesInTheQueueIsWaitedFor() throws {
    signal(SIGPIPE, SIG_IGN)
    let (board, file) = try #require(RequestOwners.make(children: 1, threads: 1))
    close(file)
    let queue = try RequestQueue(backlog: 100)
    let readEnd = dup(queue.readEnd.number)
    let server = Background {
      // Three times as long as a request may be missing.
      _ = waitUntilReady(-1, for: 0, milliseconds: 3000)
      var reader = QueueReader()
      while let request = reader.next(readEnd) {
        board.noteBegun(request.envelope, pid: UInt32(getpid()))
        var channel = ChannelServer(workerID: 1, socketTimeout: 2000)
        channel.open(request.channel, request.envelope.channelKind)
        channel.answer()
        channel.close()
      }
      close(readEnd)
    }
    let book = try #require(RequestBook(rows: 1, children: 1))
    var forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
    var group = GroupQueue(row: try #require(book.row(0)), writeEnd: queue.writeEnd.number)
    group.owners = board
    var origin = RecordingOrigin()
    let outcome = requestHead([]).withUnsafeBytes { forwarder.run($0, on: group, logLevel: .alert, origin: &origin) }
    #expect(outcome == .done)
    _ = consume queue
    server.join()
    book.unmap()
  }

  @Test func aProcessThatLivesHasTheWholeTimeout() throws {
    let (outcomes, _) = try run([0], timeout: 400) { _, channel, request in
      request.board.noteBegun(request.envelope, pid: UInt32(getpid()))
      _ = channel.detach()
    }
    #expect(outcomes == [.failed(.timedOut)])
  }
}

extension ChannelServer {
  /// A whole response.
  fileprivate mutating func answer() {
    Array("H".utf8).withUnsafeBytes { head in
      try? send(head: head, body: UnsafeRawBufferPointer(start: nil, count: 0), flags: .end)
    }
  }
}
