import CPosix
import Glibc
import Platform
import Synchronization
import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct ControlMessageTests {
  private static let change = ScriptChange(
    script: Array("/srv/a.wsgi".utf8), applicationGroup: Array("x|".utf8), modified: -7, failure: 3_000_000_000)

  private static let all: [ControlMessage] =
    [
      .ready, .forked(-1), .loaded, .fork, .loadFailed(.max), .importFailed, .startFailed("setgid(33): not permitted"),
      .reloadWanted(change),
      .log(LogRecord(level: .error, file: Array("a.py".utf8), line: 12, text: Array("text".utf8))),
      .log(LogRecord(level: .info, text: [])), .metricsWanted(ticket: .max), .begin, .stop, .handOver, .takeOver,
      .reloading(change),
      .reloadRefused(change), .takenOver, .metrics(ticket: 9),
    ] + ShutdownReason.allCases.flatMap { [.draining($0), .ended($0), .drain($0)] }

  private func packet(_ message: ControlMessage) -> [UInt8] {
    var writer = FlatWriter()
    message.encode(into: &writer)
    return Array(writer.bytes)
  }

  @Test(arguments: all) func whatIsSentIsRead(message: ControlMessage) {
    let bytes = packet(message)
    #expect(bytes.count <= ControlMessage.limit)
    #expect(bytes.withUnsafeBytes { ControlMessage(decoding: $0) } == message)
  }

  @Test(arguments: all) func noTruncationReadsPastItsEnd(message: ControlMessage) {
    let bytes = packet(message)
    for length in 0..<bytes.count {
      // A text may be shorter; anything else that is cut is nothing.
      let cut = Array(bytes[0..<length]).withUnsafeBytes { ControlMessage(decoding: $0) }
      switch cut {
      case nil, .startFailed, .log: break
      case let other?: Issue.record("\(length) bytes of \(message) read as \(other)")
      }
    }
  }

  @Test func whatIsTooLongIsCut() {
    let text = [UInt8](repeating: 0x41, count: 100_000)
    let messages: [ControlMessage] = [
      .log(LogRecord(level: .error, file: text, line: 1, text: text)), .startFailed(String(decoding: text, as: UTF8.self)),
      .reloadWanted(ScriptChange(script: text, applicationGroup: text, modified: 0)),
    ]
    for message in messages {
      let bytes = packet(message)
      #expect(bytes.count <= ControlMessage.limit)
      #expect(bytes.withUnsafeBytes { ControlMessage(decoding: $0) } != nil)
    }
  }

  @Test func randomBytesAreRefusedOrRead() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0..<200, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
      if bytes.count >= 4, Bool.random(using: &generator) {
        withUnsafeBytes(of: UInt32.random(in: 0...20, using: &generator)) { for (i, b) in $0.enumerated() { bytes[i] = b } }
      }
      _ = bytes.withUnsafeBytes { ControlMessage(decoding: $0) }
    }
    let long = [UInt8](repeating: 1, count: ControlMessage.limit + 1)
    #expect(long.withUnsafeBytes { ControlMessage(decoding: $0) } == nil)
  }

  /// A traceback fills the pipe, and the supervisor's relay comes to it late.
  @Test func whatMustNotBeLostWaitsForRoom() throws {
    var ends: [Int32] = [-1, -1]
    try #require(wsgi_posix_report_pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let channel = ControlChannel(orders: -1, reportPipe: ends[1])
    var count = 0
    while channel.send(.log(LogRecord(level: .error, text: Array("a line".utf8)))), count < 1_000 { count += 1 }
    #expect(count > 0 && count < 1_000)
    #expect(!channel.send(.ready) && !channel.tell(.ready, within: 10))
    let isTold = Atomic<Bool>(false)
    let reader = ends[0]
    let failure = DetachedThread.start(named: "teller") { isTold.store(channel.tell(.ready), ordering: .sequentiallyConsistent) }
    try #require(failure == 0)
    var last: ControlMessage?
    var bytes = [UInt8](repeating: 0, count: ControlMessage.limit)
    wait("the message behind the lines") {
      let size = read(reader, &bytes, bytes.count)
      if size > 0 { last = bytes.withUnsafeBytes { ControlMessage(decoding: UnsafeRawBufferPointer(rebasing: $0[..<size])) } }
      return last == .ready
    }
    wait("its sender to know") { isTold.load(ordering: .sequentiallyConsistent) }
    // Nobody reads any more.
    close(ends[0])
    ends[0] = -1
    wait("the pipe to be left") { isLeft(ends[1]) }
    signal(SIGPIPE, SIG_IGN)
    #expect(!channel.tell(.ready))
  }
}
