import Glibc
import Platform
import RequestCounting
import Synchronization
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
    let book = try #require(RequestBook(rows: 1, children: 1))
    let row = try #require(book.row(0))
    var forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
    var group = GroupQueue(row: row, writeEnd: queue.writeEnd.number)
    group.flushDelay = 1
    // Half of them on plain channels, which carry no descriptors.
    let head = requestHead(seed.isMultiple(of: 2) ? .hasBody : [])
    signal(SIGPIPE, SIG_IGN)
    var seen: [String: Int] = [:]
    for _ in 0..<rounds {
      var origin = RecordingOrigin()
      origin.upload = bytes(1000)
      let outcome = head.withUnsafeBytes { forwarder.run($0, on: group, logLevel: .alert, origin: &origin) }
      seen[String("\(outcome)".prefix { $0 != "(" }), default: 0] += 1
      // Nothing reaches the client before a head did.
      if origin.head.isEmpty { #expect(origin.body.isEmpty && origin.file == nil) }
    }
    #expect(row.inFlightNow == 0)
    #expect(seen.keys.contains("done") && seen.keys.contains("failed") && seen.keys.contains("cut"))
    _ = consume queue
    server.join()
    book.unmap()
  }

  /// Where no descriptors are taken, none holds the thread that reads: not even one that lingers when it is closed.
  @Test(.enabled("the kernel has SO_PASSRIGHTS") { refusesDescriptors() }, arguments: [RequestHead.Flags.hasBody, []])
  func noDescriptorHoldsTheReader(flags: RequestHead.Flags) throws {
    signal(SIGPIPE, SIG_IGN)
    let queue = try RequestQueue(backlog: 10)
    let readEnd = dup(queue.readEnd.number)
    let connections = try [#require(LingeringConnection()), #require(LingeringConnection())]
    let server = Background {
      var reader = QueueReader()
      var number = 0
      while let request = reader.next(readEnd) {
        var response = [UInt8](repeating: 0, count: FrameHeader.size)
        response.withUnsafeMutableBytes { raw in
          if let start = raw.baseAddress { FrameHeader(.response, flags: .end, head: 1, data: 5).encode(to: start) }
        }
        response += bytes(6)
        let isPassedOn = sendMessage(response[...], [connections[number].near], to: request.channel) > 0
        if !isPassedOn { _ = sendMessage(response[...], [], to: request.channel) }
        connections[number].leave(lingers: isPassedOn)
        close(request.channel)
        number += 1
      }
      close(readEnd)
    }
    let answered = Counter()
    let head = requestHead(flags)
    let book = try #require(RequestBook(rows: 1, children: 1))
    let row = try #require(book.row(0))
    let writeEnd = dup(queue.writeEnd.number)
    let child = Background {
      var group = GroupQueue(row: row, writeEnd: writeEnd)
      group.acceptsDescriptors = false
      var forwarder = RequestForwarder(seat: book.takeSeat(pid: 1))
      for _ in 0..<2 {
        var origin = RecordingOrigin()
        let outcome = head.withUnsafeBytes { forwarder.run($0, on: group, logLevel: .alert, origin: &origin) }
        if outcome == .done { answered.add() }
      }
    }
    for _ in 0..<6_000 where answered.value < 2 { usleep(10_000) }
    #expect(answered.value == 2)
    for connection in connections { connection.end() }
    child.join()
    close(writeEnd)
    _ = consume queue
    server.join()
    book.unmap()
  }
}

private func refusesDescriptors() -> Bool {
  let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(probe) }
  var pass: Int32 = 0
  return setsockopt(probe, SOL_SOCKET, 83, &pass, socklen_t(MemoryLayout<Int32>.size)) == 0
}

private final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .relaxed) }
  func add() { count.wrappingAdd(1, ordering: .relaxed) }
}

/// A TCP connection whose last close waits two minutes for its peer, which reads nothing.
private final class LingeringConnection: Sendable {
  let near: Int32
  private let far: Int32

  init?() {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    let near = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    self.near = near
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &length) == 0
          && (connect(near, $0, length) == 0 || errno == EINPROGRESS)
      }
    }
    far = isBound ? accept(listener, nil, nil) : -1
    guard far >= 0 else { return nil }
    let block = bytes(1 << 16)
    var patience = 0
    while patience < 20 {
      if send(near, block, block.count, Int32(MSG_NOSIGNAL)) < 0 {
        usleep(1000)
        patience += 1
      }
    }
    setLinger(120)
  }

  private func setLinger(_ seconds: Int32) {
    var option = linger(l_onoff: seconds > 0 ? 1 : 0, l_linger: seconds)
    setsockopt(near, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  /// Closes the near end; who has the last copy waits if it lingers.
  func leave(lingers: Bool) {
    if !lingers { setLinger(0) }
    close(near)
  }

  func end() { close(far) }
}
