import Glibc
import Testing
import WSGICore

@testable import DaemonTransport

/// A worker belongs to a tenant: whatever it sends, the httpd child comes to an end, within its limits.
@Suite struct HostileWorkerTests {
  /// Frames that a worker may send, in an order that dice decide.
  private func frames(_ dice: inout Dice) -> [UInt8] {
    let kinds: [FrameKind] = [.taken, .stale, .wantBody, .response, .data, .data, .data, .file, .log, .failed, .aborted]
    var raw: [UInt8] = []
    for _ in 0..<Int.random(in: 1...8, using: &dice) {
      let kind = Bool.random(using: &dice) ? .response : kinds.randomElement(using: &dice) ?? .data
      let rule = kind.rule
      let head = Int.random(in: 0...min(Int(rule.head), 300), using: &dice)
      let data = Int.random(in: Int(rule.leastData)...min(Int(rule.mostData), 3000), using: &dice)
      var header = FrameHeader(kind, head: head, data: data, extra: UInt32.random(in: 0...1000, using: &dice))
      header.flags = .init(rawValue: UInt8.random(in: 0...rule.flags, using: &dice))
      raw += header.encoded + bytes(head + data)
    }
    return raw
  }

  private func mutated(_ raw: [UInt8], _ dice: inout Dice) -> [UInt8] {
    var raw = raw
    for _ in 0..<Int.random(in: 0...3, using: &dice) where !raw.isEmpty {
      switch Int.random(in: 0..<3, using: &dice) {
      case 0: raw[Int.random(in: 0..<raw.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
      case 1: raw.removeLast(Int.random(in: 0..<raw.count, using: &dice))
      default: raw.insert(UInt8.random(in: 0...255, using: &dice), at: Int.random(in: 0...raw.count, using: &dice))
      }
    }
    return raw
  }

  /// Writes in pieces of random size, sometimes with a descriptor, and stops when the child has gone.
  private static func play(_ raw: [UInt8], on channel: Int32, _ dice: inout Dice) {
    var sent = 0
    while sent < raw.count {
      let count = min(raw.count - sent, Int.random(in: 1...5000, using: &dice))
      let passed = [0, 0, 0, 0, 1, 2].randomElement(using: &dice) ?? 0
      var result = sendMessage(raw[sent..<(sent + count)], [Int32](repeating: 0, count: passed), to: channel)
      if result == -Int(ENOTSOCK) {
        result = raw[sent..<(sent + count)].withUnsafeBytes { write(channel, $0.baseAddress, count) }
      }
      if result < 0, errno == EAGAIN {
        usleep(100)
        continue
      }
      if result <= 0 { return }
      sent += result
    }
  }

  @Test(arguments: 0..<8) func whateverAWorkerSendsTheChildEnds(seed: Int) throws {
    let queue = try RequestQueue(backlog: 10)
    let readEnd = dup(queue.readEnd.number)
    let rounds = 1500
    let plan = UInt64(seed) &* 1_000_003
    let server = Background { [self] in
      var dice = Dice(state: plan)
      var reader = QueueReader()
      while let request = reader.next(readEnd) {
        HostileWorkerTests.play(mutated(frames(&dice), &dice), on: request.channel, &dice)
        close(request.channel)
      }
      close(readEnd)
    }
    let ledger = try #require(QueueLedger(groups: 1, seats: 1))
    var client = DaemonClient(seat: ledger.takeSeat(pid: 1))
    var group = DaemonEndpoint(index: 0, queue: queue.writeEnd.number)
    group.flushDelay = 1
    // Half of them on plain channels, which carry no descriptors.
    let head = requestHead(seed.isMultiple(of: 2) ? .hasBody : [])
    signal(SIGPIPE, SIG_IGN)
    var seen: [String: Int] = [:]
    for _ in 0..<rounds {
      var host = RecordingHost()
      host.upload = bytes(1000)
      let outcome = head.withUnsafeBytes { client.run($0, on: group, logLevel: 0, host: &host) }
      seen[String("\(outcome)".prefix { $0 != "(" }), default: 0] += 1
      // Nothing reaches the client before a head did.
      if host.head.isEmpty { #expect(host.body.isEmpty && host.file == nil) }
    }
    #expect(ledger.inFlight(0) == 0)
    #expect(seen.keys.contains("done") && seen.keys.contains("failed") && seen.keys.contains("cut"))
    _ = consume queue
    server.join()
    ledger.unmap()
  }
}
