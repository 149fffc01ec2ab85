import CPosix
import Glibc
import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct CommandTests {
  // MARK: requests

  static let requests = [
    CommandRequest(.status), CommandRequest(.reload, group: Array("shop".utf8), applicationGroup: []),
    CommandRequest(.restart, group: Array("4711".utf8), pid: 4711),
    CommandRequest(
      .stacks, group: [UInt8](repeating: 0xFF, count: 255), applicationGroup: [UInt8](repeating: 0x41, count: 255), pid: -1),
  ]

  @Test(arguments: requests) func aRequestIsReadAsItWasWritten(_ request: CommandRequest) throws {
    let bytes = try #require(request.encoded())
    #expect(bytes.count == CommandRequest.size)
    #expect(bytes.withUnsafeBytes { CommandRequest(decoding: $0) } == request)
  }

  @Test func namesAreBounded() {
    #expect(CommandRequest(.status, group: [UInt8](repeating: 0x41, count: 256)).encoded() == nil)
    #expect(CommandRequest(.reload, applicationGroup: [UInt8](repeating: 0x41, count: 256)).encoded() == nil)
  }

  @Test func liesAreNoRequests() throws {
    let good = try #require(CommandRequest(.stop, group: Array("shop".utf8)).encoded())
    for (offset, value) in [(0, 0), (4, 9), (8, 0), (8, 99), (16, 256), (16, -1), (16, 624), (639, 1)] {
      var bytes = good
      withUnsafeBytes(of: Int32(value).littleEndian) { value in
        for (index, byte) in value.enumerated() where offset + index < bytes.count { bytes[offset + index] = byte }
      }
      if offset == 639 { bytes[639] = 1 }
      #expect(bytes.withUnsafeBytes { CommandRequest(decoding: $0) } == nil, "\(value) at \(offset)")
    }
    for count in [0, 1, 639] { #expect(good.prefix(count).withUnsafeBytes { CommandRequest(decoding: $0) } == nil) }
    #expect((good + [0]).withUnsafeBytes { CommandRequest(decoding: $0) } == nil)
  }

  // MARK: answers

  static let answers: [CommandAnswer] = [
    .group(
      .init(
        name: Array("shop".utf8), user: 1001, threads: 15, wanted: 2, ready: 1, starting: 1, failures: 3,
        flags: [.isStopped, .hasWaiting], python: Array("3.11.2".utf8))),
    .process(
      .init(
        pid: 4711, state: .draining, requests: 1 << 40, busy: 3, isSaturated: true, oldest: -1, started: 1_700_000_000_000_000)),
    .report(4711), .outcome(.refused("no")), .outcome(.noGroup), .outcome(.done),
  ]

  @Test func answersAreReadAsTheyWereWrittenHoweverTheyArrive() {
    var writer = FlatWriter(capacity: 64)
    for answer in Self.answers { answer.append(to: &writer) }
    let all = Array(writer.bytes)
    var found: [CommandAnswer] = []
    var start = 0
    for end in 0...all.count {
      while case .part(let part, let count) = all[start..<end].withUnsafeBytes({ CommandAnswer.next(in: $0) }) {
        found.append(part)
        start += count
      }
    }
    #expect(found == Self.answers)
    #expect(start == all.count)
  }

  @Test func namesThatAreTooLongAreCut() {
    var writer = FlatWriter(capacity: 64)
    guard case .group(var group) = Self.answers[0] else { return }
    group.name = [UInt8](repeating: 0x41, count: 100_000)
    CommandAnswer.group(group).append(to: &writer)
    guard case .part(.group(let read), _) = CommandAnswer.next(in: writer.bytes) else {
      Issue.record("it is not read")
      return
    }
    #expect(read.name.count > 4000)
  }

  static let malformed: [[UInt32]] = [
    [0, 0], [99, 0], [1, 5000], [1, 4, 0], [1, 32, 0, 0, 0, 0, 0, 0, 0, 9], [2, 4, 0], [2, 12, 1, 99, 0],
  ]

  @Test(arguments: malformed) func otherThingsAreNoAnswers(_ words: [UInt32]) {
    #expect(words.withUnsafeBytes { CommandAnswer.next(in: $0) } == .malformed)
  }

  // MARK: connections

  /// Two ends of a connection.
  private func makePair() throws -> (ours: Int32, theirs: Int32) {
    var ends: [Int32] = [-1, -1]
    try #require(wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) == 0)
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    return (ends[0], ends[1])
  }

  private func send(_ bytes: [UInt8], descriptor: Int32 = -1, to socket: Int32) {
    var passed = descriptor
    bytes.withUnsafeBytes { bytes in
      var part = iovec(iov_base: bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0) }, iov_len: bytes.count)
      _ = wsgi_posix_send(socket, &part, 1, &passed, passed < 0 ? 0 : 1, 0)
    }
  }

  private func isRequest(_ received: CommandConnection.Received) -> Bool { if case .request = received { true } else { false } }
  private func isIncomplete(_ received: CommandConnection.Received) -> Bool {
    if case .incomplete = received { true } else { false }
  }

  @Test func aRequestMayComeInPieces() throws {
    let (ours, theirs) = try makePair()
    defer { for end in [ours, theirs] { close(end) } }
    let bytes = try #require(CommandRequest(.status).encoded())
    let connection = CommandConnection(descriptor: ours, user: 1, process: 2, now: 0)
    #expect(isIncomplete(connection.receive()))
    for piece in [bytes.prefix(1), bytes.dropFirst().prefix(300)] {
      send(Array(piece), to: theirs)
      #expect(isIncomplete(connection.receive()))
    }
    send(Array(bytes.dropFirst(301)), to: theirs)
    #expect(isRequest(connection.receive()))
    #expect(wsgi_posix_shut_out(ours) != 0)
  }

  static let hostile: [[(count: Int, carries: Bool)]] = [
    [(640, true)], [(100, false), (540, true)], [(1, true)], [(640, false), (1, true)], [(100_000, false)],
  ]

  @Test(arguments: hostile) func nobodyClosesASocketWithDescriptors(_ messages: [(count: Int, carries: Bool)]) throws {
    let (ours, theirs) = try makePair()
    let (kept, carried) = try makePair()
    let bytes = try #require(CommandRequest(.status).encoded())
    for (count, carries) in messages {
      send(Array((bytes + [UInt8](repeating: 0, count: 100_000)).prefix(count)), descriptor: carries ? carried : -1, to: theirs)
    }
    close(carried)
    let connection = CommandConnection(descriptor: ours, user: 1, process: 2, now: 0)
    #expect(!isRequest(connection.receive()) || messages.count == 2)
    #expect(wsgi_posix_shut_out(ours) == 0)
    // Nothing comes in afterwards.
    #expect(Glibc.send(theirs, bytes, 1, Int32(MSG_NOSIGNAL)) < 0)
    for end in [ours, theirs] { close(end) }
    wait("nobody to have what was carried") { isLeft(kept) }
    close(kept)
  }

  @Test func answersWaitForTheClient() throws {
    let (ours, theirs) = try makePair()
    defer { close(ours) }
    let connection = CommandConnection(descriptor: ours, user: 1, process: 2, now: 0)
    var rounds = 0
    while connection.wantsMore, rounds < 100_000 {
      connection.add(Array(Self.answers.prefix(2)))
      if case .some = connection.send(now: 0) { rounds += 1 }
    }
    #expect(!connection.wantsMore)
    close(theirs)
    wait("the client to be gone") { isLeft(ours) }
    if case .failed = connection.send(now: 0) {} else { Issue.record("the client has gone") }
  }

  @Test func usersHaveSharesAndRootHasItsOwn() throws {
    var desk = CommandDesk(listener: -1)
    func connect(_ user: UInt32) -> Bool {
      guard desk.hasRoom(for: user) else { return false }
      desk.connections.append(CommandConnection(descriptor: -1, user: user, process: 1, now: 0))
      return true
    }
    #expect((0..<100).count { _ in connect(1001) } == 8)
    #expect((1002..<1100).count { user in connect(UInt32(user)) } == 48)
    #expect(!connect(2000))
    #expect((0..<100).count { _ in connect(0) } == 16)
  }
}
