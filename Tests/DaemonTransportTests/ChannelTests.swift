import CPosix
import Glibc
import Platform
import RequestCounting
import Testing
import WSGICore

@testable import DaemonTransport

extension ChannelServer {
  /// Sends strings; the failure, if any.
  @discardableResult
  fileprivate mutating func say(head: String? = nil, _ body: [UInt8] = [], _ flags: SendFlags = []) -> ExchangeFailure? {
    var failure: ExchangeFailure?
    let headBytes = head.map { Array($0.utf8) } ?? []
    headBytes.withUnsafeBytes { h in
      body.withUnsafeBytes { b in
        do throws(ExchangeFailure) {
          try send(head: head == nil ? nil : h, body: b, flags: flags)
        } catch {
          failure = error
        }
      }
    }
    return failure
  }

  /// Sends a log record; whether it was taken.
  @discardableResult
  fileprivate mutating func record(_ level: LogLevel, _ text: String, file: String = "", line: UInt32 = 0) -> Bool {
    Array(file.utf8).withUnsafeBytes { file in
      Array(text.utf8).withUnsafeBytes { log(level: level, file: file, line: line, text: $0) }
    }
  }

  /// Reads the body to its end.
  fileprivate mutating func gather(_ piece: Int = 10_000) -> Result<[UInt8], ExchangeFailure> {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: piece)
    while true {
      let got: Result<Int, ExchangeFailure> = buffer.withUnsafeMutableBytes { space in
        do throws(ExchangeFailure) { return .success(try read(into: space)) } catch { return .failure(error) }
      }
      switch got {
      case .success(0): return .success(all)
      case .success(let count): all += buffer[0..<count]
      case .failure(let failure): return .failure(failure)
      }
    }
  }
}

@Suite struct ChannelTests {
  @Test(arguments: [ChannelKind.socket, .plain]) func aSmallResponseIsOneFrame(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    let outcome = try converse(on: kind, origin: &origin) { channel, _ in channel.say(head: "HEAD", bytes(20), .end) }
    #expect(outcome == .done)
    #expect(origin.head == Array("HEAD".utf8))
    #expect(origin.body == bytes(20))
    #expect(origin.reads == 0)
    #expect(origin.flushes == 0)
  }

  @Test(arguments: [0, 1, 65_520, 65_536, 200_001, 17 << 20], [ChannelKind.socket, .plain])
  func bodiesOfAnySizeComeDown(size: Int, kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    let whole = bytes(size)
    let outcome = try converse(on: kind, origin: &origin) { channel, _ in
      channel.say(head: "H")
      channel.say(whole)
      channel.say([], .end)
    }
    #expect(outcome == .done)
    #expect(origin.body == whole)
  }

  @Test(arguments: [(0, 100), (1, 1), (70_000, 17), (300_000, 4096), (5 << 20, 1 << 20)])
  func bodiesOfAnySizeGoUp(size: Int, piece: Int) throws {
    var origin = RecordingOrigin()
    origin.upload = bytes(size)
    origin.uploadPiece = 30_011
    let outcome = try converse(origin: &origin) { channel, _ in
      guard case .success(let all) = channel.gather(piece) else { return }
      channel.say(head: "H", all, .end)
    }
    #expect(outcome == .done)
    #expect(origin.body == bytes(size))
  }

  @Test func bothDirectionsAtOnceDoNotDeadLock() throws {
    var origin = RecordingOrigin()
    origin.upload = bytes(8 << 20)
    let outcome = try converse(origin: &origin) { channel, _ in
      var buffer = [UInt8](repeating: 0, count: 100_000)
      channel.say(head: "H", bytes(1 << 20))
      while true {
        let count = buffer.withUnsafeMutableBytes { (try? channel.read(into: $0)) ?? 0 }
        if count == 0 { break }
        channel.say(Array(buffer[0..<count]), .flush)
      }
      channel.say([], .end)
    }
    #expect(outcome == .done)
    #expect(origin.body == bytes(1 << 20) + bytes(8 << 20))
  }

  @Test func aResponseNeedNotWaitForTheBody() throws {
    var origin = RecordingOrigin()
    origin.upload = bytes(8 << 20)
    let outcome = try converse(origin: &origin) { channel, _ in
      var one: UInt8 = 0
      _ = withUnsafeMutableBytes(of: &one) { try? channel.read(into: $0) }
      channel.say(head: "413", bytes(300_000), .end)
    }
    #expect(outcome == .done)
    #expect(origin.body.count == 300_000)
    #expect(origin.uploaded < 2 << 20)
  }

  @Test func aBodyThatNobodyReadsIsNotAskedFor() throws {
    var origin = RecordingOrigin()
    origin.upload = bytes(100)
    let outcome = try converse(origin: &origin) { channel, _ in channel.say(head: "H", [], .end) }
    #expect(outcome == .done)
    #expect(origin.reads == 0)
  }

  @Test(arguments: [ExchangeFailure.closed, .timedOut, .tooLarge, .failed])
  func theApplicationLearnsWhyABodyFailed(failure: ExchangeFailure) throws {
    var origin = RecordingOrigin()
    origin.upload = bytes(1000)
    origin.uploadFailure = failure
    let outcome = try converse(origin: &origin) { channel, _ in
      guard case .failure(let why) = channel.gather() else { return channel.abort() }
      // It stays that way.
      guard case .failure(why) = channel.gather() else { return channel.abort() }
      channel.say(head: "\(why)", [], .end)
    }
    #expect(outcome == .done)
    #expect(origin.head == Array("\(failure)".utf8))
  }

  @Test func aClientThatStopsSendingIsTimedOut() throws {
    var origin = RecordingOrigin()
    origin.uploadStalls = true
    let outcome = try converse(origin: &origin) { channel, _ in
      guard case .failure(.timedOut) = channel.gather() else { return channel.abort() }
      channel.fail(status: 408)
    }
    #expect(outcome == .failed(.answered(status: 408)))
  }

  // MARK: ends

  @Test(arguments: [ChannelKind.socket, .plain]) func deathBeforeTheHeadIsAFailure(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    #expect(try converse(on: kind, origin: &origin) { _, _ in } == .failed(.workerEnded(pid: 0)))
  }

  @Test(arguments: [ChannelKind.socket, .plain]) func deathBehindTheHeadIsACut(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    #expect(
      try converse(on: kind, origin: &origin) { channel, _ in channel.say(head: "H", bytes(10)) } == .cut(.workerEnded(pid: 77)))
    #expect(origin.body == bytes(10))
  }

  @Test func deathWhileTheBodyGoesUp() throws {
    var origin = RecordingOrigin()
    origin.upload = bytes(4 << 20)
    let outcome = try converse(origin: &origin) { channel, _ in
      var one: UInt8 = 0
      _ = withUnsafeMutableBytes(of: &one) { try? channel.read(into: $0) }
    }
    #expect(outcome == .failed(.workerEnded(pid: 77)))
  }

  @Test(arguments: [ChannelKind.socket, .plain]) func failedAndAborted(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    #expect(
      try converse(on: kind, origin: &origin) { channel, _ in channel.fail(status: 504) } == .failed(.answered(status: 504)))
    #expect(
      try converse(on: kind, origin: &origin) { channel, _ in channel.fail(status: 200) } == .failed(.answered(status: 500)))
    #expect(try converse(on: kind, origin: &origin) { channel, _ in channel.abort() } == .failed(.answered(status: 500)))
    let cut = try converse(on: kind, origin: &origin) { channel, _ in
      channel.say(head: "H")
      channel.fail(status: 500)
    }
    #expect(cut == .cut(.aborted))
  }

  @Test(arguments: [ChannelKind.socket, .plain]) func aStaleProcessHandsTheRequestBack(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    let outcome = try converse(on: kind, origin: &origin) { channel, number in
      if number < 3 { channel.handBack() } else { channel.say(head: "H", [], .end) }
    }
    #expect(outcome == .done)
    #expect(origin.requeues == [2, 3])
    #expect(
      try converse(on: kind, origin: &origin) { channel, _ in channel.handBack() } == .failed(.requeuedTooOften(attempts: 3)))
  }

  @Test(arguments: [ChannelKind.socket, .plain]) func aClientThatGoesIsSeenByTheApplication(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    origin.clientGoesAfter = 100_000
    origin.keepsBody = false
    let outcome = try converse(on: kind, origin: &origin) { channel, _ in
      channel.say(head: "H")
      for _ in 0..<1000 where channel.say(bytes(10_000)) == nil {}
      let last = channel.say(bytes(1))
      #expect(last == .closed)
    }
    #expect(outcome == .clientGone)
  }

  @Test(arguments: [ChannelKind.socket, .plain]) func aRefusedHeadIsAFailure(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    origin.refusesHead = true
    #expect(try converse(on: kind, origin: &origin) { channel, _ in channel.say(head: "H", [], .end) } == .failed(.headRefused))
  }

  @Test(arguments: [ChannelKind.socket, .plain]) func silenceIsTimedOut(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    let short: (inout GroupQueue) -> Void = { $0.socketTimeout = 30 }
    // The worker waits until its channel is closed.
    let before = try converse(on: kind, origin: &origin, change: short) { channel, _ in
      while !channel.peerHasGone() { usleep(1000) }
    }
    #expect(before == .failed(.timedOut))
    let behind = try converse(on: kind, origin: &origin, change: short) { channel, _ in
      channel.say(head: "H", bytes(5), .flush)
      while !channel.peerHasGone() { usleep(1000) }
    }
    #expect(behind == .cut(.timedOut))
    #expect(origin.flushes == 1)
  }

  // MARK: limits of the queue

  @Test func overloadIsRefusedAtOnce() throws {
    var origin = RecordingOrigin()
    let outcome = try converse(origin: &origin, change: { $0.inFlightLimit = 0 }) { channel, _ in channel.say(head: "H", [], .end)
    }
    #expect(outcome == .failed(.overloaded(.queueLimit)))
  }

  @Test func aGroupWithoutProcessesIsGivenConnectTimeout() throws {
    var origin = RecordingOrigin()
    origin.served = false
    let book = try #require(RequestBook(rows: 1, children: 1))
    let row = try #require(book.row(0))
    var group = GroupQueue(row: row, writeEnd: 0)
    let queue = try RequestQueue(backlog: 1)
    group.writeEnd = queue.writeEnd.number
    group.connectTimeout = 20
    var forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
    var outcome = requestHead().withUnsafeBytes { forwarder.run($0, on: group, logLevel: .alert, origin: &origin) }
    #expect(outcome == .failed(.notServed))
    origin.served = true
    group.queueTimeout = 20
    outcome = requestHead().withUnsafeBytes { forwarder.run($0, on: group, logLevel: .alert, origin: &origin) }
    #expect(outcome == .failed(.queueTimedOut))
    book.unmap()
  }

  @Test func aFullQueueIsGivenConnectTimeout() throws {
    let queue = try RequestQueue(backlog: 1)
    let book = try #require(RequestBook(rows: 1, children: 1))
    let row = try #require(book.row(0))
    var group = GroupQueue(row: row, writeEnd: queue.writeEnd.number)
    group.connectTimeout = 30
    group.socketTimeout = 1
    var forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
    var origin = RecordingOrigin()
    let head = requestHead(environ: [("K", String(repeating: "v", count: 30_000))])
    var outcome = DaemonOutcome.failed(.timedOut)
    var sent = 0
    while outcome == .failed(.timedOut), sent < 1000 {
      outcome = head.withUnsafeBytes { forwarder.run($0, on: group, logLevel: .alert, origin: &origin) }
      sent += 1
    }
    #expect(outcome == .failed(.queueFull))
    // Given room in time, a request that waited gets it.
    group.connectTimeout = 10_000
    group.socketTimeout = 10_000
    let readEnd = dup(queue.readEnd.number)
    let server = Background {
      var reader = QueueReader()
      while let request = reader.next(readEnd) {
        var channel = ChannelServer(workerID: 1, socketTimeout: 1000)
        channel.open(request.channel, request.envelope.channelKind)
        channel.say(head: "H", [], .end)
        channel.close()
      }
      close(readEnd)
    }
    #expect(head.withUnsafeBytes { forwarder.run($0, on: group, logLevel: .alert, origin: &origin) } == .done)
    _ = consume queue
    server.join()
    book.unmap()
  }

  @Test(arguments: [ChannelKind.socket, .plain]) func theChildIsToldWhereItAskedForThat(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    let outcome = try converse(on: kind, origin: &origin, change: { $0.queueTimeout = 10_000 }) { channel, _ in
      channel.announce()
    }
    #expect(outcome == .failed(.workerEnded(pid: 77)))
  }

  // MARK: flushes and logs

  @Test(arguments: [ChannelKind.socket, .plain]) func blocksThatFollowEachOtherAreFlushedTogether(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    let outcome = try converse(on: kind, origin: &origin, change: { $0.flushDelay = 2000 }) { channel, _ in
      channel.say(head: "H", bytes(10), .flush)
      for _ in 0..<50 { channel.say(bytes(10), .flush) }
      channel.say([], .end)
    }
    #expect(outcome == .done)
    #expect(origin.body.count == 510)
    #expect(origin.flushes == 0)
  }

  @Test(arguments: [ChannelKind.socket, .plain]) func bytesBeyondTheBufferSizeAreFlushed(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    let outcome = try converse(on: kind, origin: &origin, change: { $0.flushSize = 65_536 }) { channel, _ in
      channel.say(head: "H", bytes(1 << 20), .end)
    }
    #expect(outcome == .done)
    #expect((8...17).contains(origin.flushes))
  }

  @Test(arguments: [ChannelKind.socket, .plain]) func logRecordsArriveInOrder(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    let outcome = try converse(on: kind, origin: &origin) { channel, _ in
      var taken = [channel.record(.error, "first", file: "app.py", line: 12)]
      channel.say(head: "H")
      taken.append(channel.record(.debug, String(repeating: "x", count: 100_000)))
      channel.say([], .end)
      taken.append(channel.record(.error, "late"))
      #expect(taken == [true, true, false])
    }
    #expect(outcome == .done)
    #expect(origin.logs.count == 2)
    #expect(origin.logs.first == "3 app.py:12 first")
    #expect(origin.logs.last?.utf8.count == "7 :0 ".utf8.count + LogPieces.limit)
  }

  @Test(arguments: [ChannelKind.socket, .plain]) func anAttemptThatWouldWaitTakesNothing(kind: ChannelKind) throws {
    var origin = RecordingOrigin()
    origin.keepsBody = false
    let sent = Sent()
    let outcome = try converse(on: kind, origin: &origin) { channel, _ in
      channel.say(head: "H")
      var count = 0
      // A piece that cannot be taken whole is either kept whole or refused whole.
      while count < 100_000, channel.say(bytes(7001), .tryOnly) == nil { count += 1 }
      let tooLong = channel.say(bytes(300_000), .tryOnly)
      #expect(tooLong == .wouldBlock)
      channel.record(.error, "log")
      channel.say([], .end)
      sent.count = count
    }
    #expect(outcome == .done)
    #expect(origin.written == sent.count * 7001)
  }

  private final class Sent: @unchecked Sendable { var count = 0 }

  // MARK: files

  private func withFile(_ size: Int, _ body: (Int32) throws -> Void) throws {
    let file = temporaryFile()
    defer { close(file) }
    #expect(ftruncate(file, off_t(size)) == 0)
    try body(file)
  }

  private func sendFile(
    _ descriptor: Int32, _ offset: Int64, _ length: Int64, head: String? = "H", origin: inout RecordingOrigin
  ) throws -> DaemonOutcome {
    try converse(origin: &origin) { channel, _ in
      if head == nil { channel.say(head: "H") }
      Array((head ?? "").utf8).withUnsafeBytes { h in
        try? channel.sendFile(head: head == nil ? nil : h, descriptor: descriptor, offset: offset, length: length)
      }
    }
  }

  @Test func aFileCrossesAsADescriptor() throws {
    try withFile(5000) { (file: Int32) throws in
      var origin = RecordingOrigin()
      #expect(try sendFile(file, 100, 4900, origin: &origin) == .done)
      #expect(origin.file == .init(size: 5000, offset: 100, length: 4900))
      origin.file = nil
      #expect(try sendFile(file, 0, 0, head: nil, origin: &origin) == .done)
      #expect(origin.file == .init(size: 5000, offset: 0, length: 0))
    }
  }

  /// A file with contents.
  private func withContents(_ contents: [UInt8], _ body: (Int32) throws -> Void) throws {
    let file = temporaryFile()
    defer { close(file) }
    #expect(write(file, contents, contents.count) == contents.count)
    try body(file)
  }

  @Test(arguments: [0, 1, 100_000, 17 << 20]) func onAPlainChannelAFileCrossesAsItsBytes(size: Int) throws {
    let contents = bytes(size + 10)
    try withContents(contents) { (file: Int32) throws in
      var origin = RecordingOrigin()
      let outcome = try converse(on: .plain, origin: &origin) { channel, _ in
        Array("HEAD".utf8).withUnsafeBytes {
          try? channel.sendFile(head: $0, descriptor: file, offset: 3, length: Int64(size))
        }
      }
      #expect(outcome == .done)
      #expect(origin.head == Array("HEAD".utf8))
      #expect(origin.body == Array(contents[3..<(3 + size)]))
      #expect(origin.file == nil)
    }
  }

  @Test func aFileThatIsShorterThanItWasSaidToBeIsACut() throws {
    try withContents(bytes(1000)) { (file: Int32) throws in
      var origin = RecordingOrigin()
      let outcome = try converse(on: .plain, origin: &origin) { channel, _ in
        Array("HEAD".utf8).withUnsafeBytes {
          try? channel.sendFile(head: $0, descriptor: file, offset: 0, length: 2000)
        }
        channel.abort()
      }
      #expect(outcome == .cut(.workerEnded(pid: 77)))
      #expect(origin.body == bytes(1000))
    }
  }

  @Test func afterAFileTheClientBringsSocketsThatTakeThem() throws {
    let kinds = try channels(answeringWithAFile: 2) { forwarder, origin, group in
      for _ in 0..<70 {
        #expect(requestHead([]).withUnsafeBytes { forwarder.run($0, on: group, logLevel: .alert, origin: &origin) } == .done)
      }
    }
    #expect(kinds == [.plain, .plain] + [ChannelKind](repeating: .socket, count: 64) + [.plain, .plain, .plain, .plain])
  }

  /// What httpd is to cut parts from must cross as a file, the first time as well.
  @Test func aRequestForPartsBringsASocketThatTakesFiles() throws {
    let kinds = try channels(answeringWithAFile: 0) { forwarder, origin, group in
      for flags in [RequestHead.Flags.wantsRanges, [], .wantsRanges] {
        #expect(requestHead(flags).withUnsafeBytes { forwarder.run($0, on: group, logLevel: .alert, origin: &origin) } == .done)
      }
    }
    #expect(kinds == [.socket, .plain, .socket])
  }

  /// The channels of the requests that `body` has run by a worker, whose answer to one of them (from 1) is a file.
  private func channels(
    answeringWithAFile number: Int, _ body: (inout RequestForwarder, inout RecordingOrigin, GroupQueue) -> Void
  ) throws -> [ChannelKind] {
    let queue = try RequestQueue(backlog: 100)
    let readEnd = dup(queue.readEnd.number)
    let kinds = Kinds()
    let server = Background {
      var reader = QueueReader()
      let file = temporaryFile()
      while let request = reader.next(readEnd) {
        kinds.all.append(request.envelope.channelKind)
        var channel = ChannelServer(workerID: 1, socketTimeout: 1000)
        channel.open(request.channel, request.envelope.channelKind)
        if kinds.all.count == number {
          Array("H".utf8).withUnsafeBytes { try? channel.sendFile(head: $0, descriptor: file, offset: 0, length: 0) }
        } else {
          channel.say(head: "H", [], .end)
        }
        channel.close()
      }
      close(file)
      close(readEnd)
    }
    let book = try #require(RequestBook(rows: 1, children: 1))
    let row = try #require(book.row(0))
    var forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
    var origin = RecordingOrigin()
    body(&forwarder, &origin, GroupQueue(row: row, writeEnd: queue.writeEnd.number))
    _ = consume queue
    server.join()
    book.unmap()
    return kinds.all
  }

  private final class Kinds: @unchecked Sendable { var all: [ChannelKind] = [] }

  @Test func nothingButARangeOfAReadableFileIsTaken() throws {
    let refused = DaemonOutcome.failed(.protocolViolation(.badDescriptor))
    try withFile(5000) { (file: Int32) throws in
      var origin = RecordingOrigin()
      #expect(try sendFile(file, 100, 4901, origin: &origin) == refused)
      #expect(try sendFile(file, -1, 10, origin: &origin) == refused)
      #expect(try sendFile(file, 1, -1, origin: &origin) == refused)
      #expect(try sendFile(file, .max, .max, origin: &origin) == refused)
      var pipes: [Int32] = [-1, -1]
      #expect(pipe(&pipes) == 0)
      #expect(try sendFile(pipes[0], 0, 0, origin: &origin) == refused)
      for end in pipes { close(end) }
      let directory = open("/tmp", O_RDONLY)
      #expect(try sendFile(directory, 0, 0, origin: &origin) == refused)
      close(directory)
      let device = open("/dev/zero", O_RDONLY)
      #expect(try sendFile(device, 0, 0, origin: &origin) == refused)
      close(device)
      let writeOnly = open("/proc/self/fd/\(file)", O_WRONLY)
      #expect(try sendFile(writeOnly, 0, 0, origin: &origin) == refused)
      close(writeOnly)
      #expect(origin.file == nil)
    }
  }
}
