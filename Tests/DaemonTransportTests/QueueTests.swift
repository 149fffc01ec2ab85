import CPosix
import Glibc
import Platform
import Testing
import WSGICore

@testable import DaemonTransport

@Suite struct QueueTests {
  private func pair() -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    #expect(wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) == 0)
    return (ends[0], ends[1])
  }

  /// Sends `head` and gives what the reader made of it.
  private func pass(_ head: [UInt8]) throws -> (head: [UInt8], envelope: QueueEnvelope)? {
    let queue = try RequestQueue(backlog: 10)
    let ends = pair()
    defer { close(ends.0) }
    var envelope = QueueEnvelope()
    envelope.logLevel = .debug
    envelope.queueStart = 12345
    envelope.attempt = 3
    envelope.flags = .announce
    let sent = head.withUnsafeBytes { QueueWriter.send($0, envelope, channel: ends.1, to: queue.writeEnd.number) }
    guard case .done = sent else { return nil }
    close(ends.1)
    var reader = QueueReader()
    guard let got = reader.next(queue.readEnd.number) else { return nil }
    defer { close(got.channel) }
    // It is the far end of our pair that arrived.
    #expect(write(got.channel, "x", 1) == 1)
    var byte: UInt8 = 0
    #expect(read(ends.0, &byte, 1) == 1)
    return (Array(reader.head), got.envelope)
  }

  @Test(arguments: [10, 1000, 60_000, 64 << 10, (64 << 10) + 1, 300_000, 5 << 20])
  func requestsOfAnySizeCross(size: Int) throws {
    let head = requestHead(environ: [("KEY", String(repeating: "v", count: size))])
    let got = try #require(try pass(head))
    #expect(got.envelope.logLevel == .debug)
    #expect(got.envelope.flags.contains(.announce))
    try got.head.withUnsafeBytes { raw in
      let decoded = try RequestHead(decoding: raw)
      #expect(decoded.queueStart == 12345)
      #expect(decoded.attempt == 3)
      var environ = decoded.environ
      #expect(try environ.readPair().value?.count == size)
    }
  }

  @Test func headsAboveTheLimitAreNotSent() throws {
    #expect(try pass([UInt8](repeating: 0, count: RequestHead.limit + 1)) == nil)
  }

  @Test func aRequestCanBePassedOn() throws {
    for size in [10, 200_000] {
      let first = try RequestQueue(backlog: 10)
      let second = try RequestQueue(backlog: 10)
      let ends = pair()
      let head = requestHead(environ: [("KEY", String(repeating: "v", count: size))])
      _ = head.withUnsafeBytes { QueueWriter.send($0, QueueEnvelope(), channel: ends.1, to: first.writeEnd.number) }
      close(ends.1)
      var reader = QueueReader()
      let request = reader.next(first.readEnd.number)
      let got = try #require(request)
      let before = Array(reader.head)
      let passed = before.withUnsafeBytes {
        QueueWriter.pass($0, got.envelope, channel: got.channel, to: second.writeEnd.number)
      }
      #expect(passed)
      close(got.channel)
      let again = reader.next(second.readEnd.number)
      close(try #require(again).channel)
      #expect(again?.envelope.attempt == 2)
      // But for the attempt it is the same.
      #expect(Array(reader.head).count == before.count && Array(reader.head).dropFirst(16) == before.dropFirst(16))
      var byte: UInt8 = 0
      #expect(isLeft(ends.0) && recv(ends.0, &byte, 1, Int32(MSG_DONTWAIT)) == 0)
      close(ends.0)
    }
  }

  @Test func theEndComesBehindWhatIsLeft() throws {
    let readEnd: Int32
    do {
      let queue = try RequestQueue(backlog: 10)
      readEnd = dup(queue.readEnd.number)
      for _ in 0..<3 {
        let ends = pair()
        let head = requestHead()
        _ = head.withUnsafeBytes { QueueWriter.send($0, QueueEnvelope(), channel: ends.1, to: queue.writeEnd.number) }
        close(ends.0)
        close(ends.1)
      }
    }
    defer { close(readEnd) }
    var reader = QueueReader()
    for _ in 0..<3 {
      let request = reader.next(readEnd)
      close(try #require(request).channel)
    }
    guard case .ended = reader.receive(from: readEnd) else {
      Issue.record("no end")
      return
    }
  }

  @Test func withoutReadersTheQueueIsClosed() throws {
    let queue = try RequestQueue(backlog: 10)
    let writeEnd = dup(queue.writeEnd.number)
    _ = consume queue
    #expect(isLeft(writeEnd))
    let ends = pair()
    let sent = requestHead().withUnsafeBytes { QueueWriter.send($0, QueueEnvelope(), channel: ends.1, to: writeEnd) }
    guard case .closed = sent else {
      Issue.record("\(sent)")
      return
    }
    for end in [ends.0, ends.1, writeEnd] { close(end) }
  }

  // MARK: what is not a request

  private func send(_ message: [UInt8], _ descriptors: [Int32]) throws -> String {
    let queue = try RequestQueue(backlog: 10)
    #expect(sendMessage(message, descriptors, to: queue.writeEnd.number) == message.count)
    var reader = QueueReader()
    switch reader.receive(from: queue.readEnd.number) {
    case .request(let channel, _):
      close(channel)
      return "request"
    case .malformed(let text): return "\(text)"
    case .ended: return "ended"
    case .interrupted, .failed: return "failed"
    }
  }

  private func message(_ head: [UInt8], flags: QueueEnvelope.Flags = [], says: Int? = nil) -> [UInt8] {
    var envelope = QueueEnvelope()
    envelope.flags = flags
    envelope.headLength = UInt32(says ?? head.count)
    var raw = [UInt8](repeating: 0, count: QueueEnvelope.size)
    raw.withUnsafeMutableBytes { if let start = $0.baseAddress { envelope.encode(to: start) } }
    return raw + head
  }

  @Test func whatIsNotARequestIsRefusedAndNothingStaysOpen() throws {
    let ends = pair()
    let head = requestHead()
    let sealed = head.withUnsafeBytes { $0.baseAddress.map { wsgi_posix_sealed_file($0, head.count) } ?? -1 }
    let plain = temporaryFile()
    _ = head.withUnsafeBytes { write(plain, $0.baseAddress, $0.count) }
    defer { for end in [ends.0, ends.1, sealed, plain] { close(end) } }
    #expect(try send(message(head), [ends.0]) == "request")
    #expect(try send(message([], flags: .headInFile, says: head.count), [ends.0, sealed]) == "request")
    let table: [([UInt8], [Int32], String)] = [
      ([], [], "empty"),
      (message(head), [], "no channel"),
      (message(head), [ends.0, ends.1], "a descriptor that belongs to nothing"),
      (message(head, says: head.count + 1), [ends.0], "a head of another length"),
      (message(head, says: head.count - 1), [ends.0], "a head of another length"),
      (message(head, says: RequestHead.limit + 1), [ends.0], "no envelope"),
      (message(head, flags: .init(rawValue: 32)), [ends.0], "no envelope"),
      (Array(message(head).prefix(31)), [ends.0], "no envelope"),
      (bytes(500), [ends.0], "no envelope"),
      (message(bytes(RequestQueue.inlineHead + 1)), [ends.0], "too long"),
      (message([], flags: .headInFile, says: head.count), [ends.0], "no file with its head"),
      (message([1], flags: .headInFile, says: head.count), [ends.0, sealed], "no file with its head"),
      (message([], flags: .headInFile, says: head.count), [ends.0, plain], "a file that is not its head"),
      (message([], flags: .headInFile, says: head.count), [ends.0, ends.1], "a file that is not its head"),
      (message([], flags: .headInFile, says: head.count + 1), [ends.0, sealed], "a file that is not its head"),
      (message([], flags: .headInFile, says: 0), [ends.0, sealed], "a file that is not its head"),
    ]
    for (raw, descriptors, expected) in table { #expect(try send(raw, descriptors) == expected) }
    // Whatever else was sent with them, the descriptors are not left open.
    for flags in [QueueEnvelope.Flags(), .headInFile, .init(rawValue: 8)] {
      let near = (0..<2).map { _ in pair() }
      let queue = try RequestQueue(backlog: 10)
      #expect(sendMessage(message(head, flags: flags), near.map(\.1), to: queue.writeEnd.number) > 0)
      for (_, far) in near { close(far) }
      var reader = QueueReader()
      guard case .malformed = reader.receive(from: queue.readEnd.number) else {
        Issue.record("taken")
        continue
      }
      for (end, _) in near {
        var byte: UInt8 = 0
        #expect(isLeft(end) && recv(end, &byte, 1, Int32(MSG_DONTWAIT)) == 0)
        close(end)
      }
    }
  }

  @Test func arbitraryMessagesAreRefused() throws {
    let ends = pair()
    defer { for end in [ends.0, ends.1] { close(end) } }
    var dice = Dice(state: 2)
    let good = message(requestHead())
    for _ in 0..<3000 {
      var raw = good
      for _ in 0..<Int.random(in: 1...4, using: &dice) {
        raw[Int.random(in: 0..<raw.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
      }
      if Bool.random(using: &dice) { raw.removeLast(Int.random(in: 0..<raw.count, using: &dice)) }
      _ = try send(raw, [ends.0])
    }
  }
}

@Suite struct RequestOwnersTests {
  @Test func whoTookARequestIsKnownThoughItSaidNothing() throws {
    let (board, file) = try #require(RequestOwners.make(children: 2, threads: 3))
    let worker = try #require(RequestOwners(file: file))
    close(file)
    defer {
      board.unmap()
      worker.unmap()
    }
    let places = [(0, 0), (0, 2), (1, 0), (1, 2)].map { board.place(child: $0, thread: $1) }
    #expect(places == [1, 3, 4, 6])
    for (child, thread) in [(-1, 0), (2, 0), (0, 3), (0, -1)] { #expect(board.place(child: child, thread: thread) == 0) }
    var envelope = QueueEnvelope()
    envelope.queueStart = 1_700_000_000_000_000
    envelope.place = places[3]
    #expect(board.taker(of: envelope) == 0 && !board.isUntouched(envelope))
    board.begin(envelope)
    #expect(board.taker(of: envelope) == 0 && board.isUntouched(envelope))
    worker.note(envelope, pid: 4711)
    #expect(board.taker(of: envelope) == 4711 && board.isUntouched(envelope))
    worker.noteBegun(envelope, pid: 4711)
    #expect(board.taker(of: envelope) == 4711 && !board.isUntouched(envelope))
    // The thread's next request, which nobody has taken.
    envelope.queueStart += 1
    board.begin(envelope)
    #expect(board.taker(of: envelope) == 0)
    for place in [0, 7, UInt32.max] {
      envelope.place = place
      worker.note(envelope, pid: 1)
      #expect(board.taker(of: envelope) == 0)
    }
  }

  /// A request that was given up stays in a queue, or with a process that is to take it over, until somebody comes to it.
  @Test func whoFindsARequestThatWasGivenUpHidesNobodyWhoHasTheNextOne() throws {
    let (board, file) = try #require(RequestOwners.make(children: 1, threads: 1))
    let worker = try #require(RequestOwners(file: file))
    close(file)
    defer {
      board.unmap()
      worker.unmap()
    }
    var first = QueueEnvelope()
    first.queueStart = 1_700_000_000_000_000
    first.place = board.place(child: 0, thread: 0)
    var second = first
    second.queueStart += 2_000_000
    board.begin(first)
    board.begin(second)
    worker.note(second, pid: 5)
    worker.note(first, pid: 6)
    worker.noteBegun(first, pid: 6)
    worker.noteHandingOver(first)
    #expect(board.taker(of: second) == 5 && board.taker(of: first) == 0)
    // Nor does it take the place from one that waits in a slot's queue.
    board.offer(second)
    worker.note(first, pid: 6)
    #expect(board.isOffered(second) && worker.claim(second, pid: 7) && board.taker(of: second) == 7)
  }

  @Test func aBoardIsOfAFileOfItsOwn() {
    let null = open("/dev/null", O_RDWR)
    defer { close(null) }
    #expect(RequestOwners(file: null).map { _ in 1 } == nil)
    #expect(RequestOwners(file: -1).map { _ in 1 } == nil)
    #expect(RequestOwners.make(children: 0, threads: 1).map { _ in 1 } == nil)
    #expect(RequestOwners.make(children: 65536, threads: Int.max).map { _ in 1 } == nil)
  }
}
