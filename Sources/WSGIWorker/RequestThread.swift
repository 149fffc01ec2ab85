import CEngine
import CPosix
import DaemonTransport
import Glibc
import Platform
import ProcessSupervision
import WSGICore

/// Where a thread's requests come from.
protocol RequestSource: ~Copyable {
  /// Waits for the next one.
  mutating func receive(from queue: Int32, _ reader: inout QueueReader) -> QueueReader.Received
}

/// One queue: the group's, or one that was handed over.
struct GroupReader: RequestSource {
  @inline(__always)
  func receive(from queue: Int32, _ reader: inout QueueReader) -> QueueReader.Received { reader.receive(from: queue) }
}

extension SessionReader: RequestSource {}

/// State that a thread keeps between requests. It is never moved: the engine is given its address.
struct RequestThread: ~Copyable {
  let index: Int
  unowned(unsafe) let pool: RequestPool
  var reader = QueueReader()
  var channel: ChannelServer
  private var number: UInt64 = 0
  /// Of the current request.
  private(set) var logLevel = LogLevel.error
  private var marksActivity = false
  /// The request waits for the GIL, as far as is known.
  private var waitsForGIL = false
  /// It is looked at whether the request waits for anything but the GIL; how often its thread had waited when it began.
  private var isWatched = false
  private var waits: Int64 = 0
  private var envelope = QueueEnvelope()
  /// httpd's id of it, which lies in `reader`.
  private var requestID = UnsafeRawBufferPointer(start: nil, count: 0)

  init(_ index: Int, _ pool: RequestPool) {
    self.index = index
    self.pool = pool
    channel = ChannelServer(workerID: pool.processID, socketTimeout: pool.settings.socketTimeout)
  }

  /// Takes requests and runs them until no more are taken.
  @inline(__always)
  static func serve<Source: RequestSource & ~Copyable>(
    _ thread: UnsafeMutablePointer<RequestThread>, from requests: consuming Source
  ) {
    var requests = requests
    let index = thread.pointee.index
    let pool = thread.pointee.pool
    while var source = pool.election.take(index) {
      waiting: while true {
        switch requests.receive(from: source, &thread.pointee.reader) {
        case .request(let channel, let envelope):
          pool.owners?.note(envelope, pid: pool.processID)
          thread.pointee.envelope = envelope
          let now = Clock.monotonicMilliseconds()
          let isBrisk = pool.contention.isBrisk(now: now)
          pool.election.pass(index, holds: isBrisk)
          if pool.isTooOld(for: source) {
            thread.pointee.returnUnread(channel, envelope)
          } else {
            run(thread, channel, envelope, now, isBrisk: isBrisk, hasNewCode: pool.isHandedOver(source))
          }
          break waiting
        case .interrupted: break
        case .ended: pool.sourceEnded(source)
        case .malformed(let what):
          pool.log.write(
            .error, "WSGI0080: Dropped a malformed message from the queue of the process group (\(what)).")
        case .failed(let error):
          pool.log.write(.error, "WSGI0401: Cannot read the queue of the process group: errno \(error).")
          pool.sourceEnded(source)
        }
        guard let next = pool.election.source(index) else {
          pool.drained()
          return
        }
        source = next
      }
    }
  }

  private static func run(
    _ thread: UnsafeMutablePointer<RequestThread>, _ channel: Int32, _ envelope: QueueEnvelope, _ now: Int64, isBrisk: Bool,
    hasNewCode: Bool
  ) {
    thread.pointee.channel.open(channel, envelope.channelKind, takesDescriptors: envelope.takesDescriptors)
    if thread.pointee.admit(envelope) {
      thread.pointee.number &+= 1
      let pool = thread.pointee.pool
      let ticket = pool.begin(
        thread.pointee.index, number: thread.pointee.number, id: thread.pointee.requestID, head: thread.pointee.reader.head,
        now: now)
      thread.pointee.isWatched = isBrisk && thread.pointee.number & (GILContention.sample &- 1) == 0
      let flags = hasNewCode ? [.rejectsStale, .newCode] : RunFlags.rejectsStale
      pool.election.asksForGIL()
      thread.pointee.waitsForGIL = true
      var outcome = pool.engine.run(
        thread, ExchangeTable.functions, thread.pointee.reader.head, ticket: ticket, flags: flags)
      thread.pointee.leaveLine()
      if thread.pointee.isWatched { pool.contention.observe(waited: wsgi_posix_waits() != thread.pointee.waits, now: now) }
      var isKept = false
      if outcome.end == RequestEnd.stale.rawValue {
        switch thread.pointee.keep(envelope, outcome) {
        case .kept: isKept = true
        case .refused: break
        case .foundBefore:
          // Another request waits for the new code already: this one need not.
          thread.pointee.reader.clear(.scriptReloading)
          outcome = pool.engine.run(
            thread, ExchangeTable.functions, thread.pointee.reader.head, ticket: ticket, flags: flags)
        }
      }
      thread.pointee.conclude(outcome)
      if !isKept { thread.pointee.channel.close() }
      pool.end(thread.pointee.index, outcome)
    } else {
      thread.pointee.channel.close()
    }
  }

  /// Whether the request is to be run; if not, it is answered.
  private mutating func admit(_ envelope: QueueEnvelope) -> Bool {
    logLevel = envelope.logLevel
    guard let head = try? RequestHead(decoding: reader.head) else {
      pool.log.write(.error, "WSGI0080: Cannot decode a request from the queue of the process group.")
      channel.fail(status: 500)
      return false
    }
    requestID = head.requestID ?? UnsafeRawBufferPointer(start: nil, count: 0)
    marksActivity = pool.settings.inactivityTimeout > 0 && !head.flags.contains(.ignoreActivity)
    if envelope.flags.contains(.announce) { channel.announce() }
    let waited = Clock.epochMicroseconds() &- envelope.queueStart
    if waited > 500_000 || pool.settings.queueTimeout > 0, !isStillWanted(head, envelope) { return false }
    if envelope.attempt > Reloads.attempts || pool.reloads.leavesAlone(head) { reader.clear(.scriptReloading) }
    return true
  }

  @inline(never)
  private mutating func isStillWanted(_ head: RequestHead, _ envelope: QueueEnvelope) -> Bool {
    // The httpd child has given up, and has said so.
    if channel.peerHasGone() { return false }
    let limit = pool.settings.queueTimeout
    let age = Clock.epochMicroseconds() &- head.requestStart &- Int64(envelope.bodyTime) &* 1000
    if limit > 0, head.requestStart > 0, age / 1000 > limit {
      log(
        .error,
        "WSGI0084: Queue timeout expired for WSGI daemon process '\(pool.settings.groupName)': no thread took the request"
          + " within \(limit / 1000) seconds.")
      channel.fail(status: 504)
      return false
    }
    return true
  }

  /// Another process is to run the request.
  private mutating func returnUnread(_ descriptor: Int32, _ envelope: QueueEnvelope) {
    channel.open(descriptor, envelope.channelKind)
    channel.handBack()
    channel.close()
  }

  /// Says how the request ended.
  private mutating func conclude(_ outcome: wsgi_outcome) {
    switch RequestEnd(rawValue: outcome.end) {
    case .done, .stale: break
    case .failed: channel.fail(status: outcome.status)
    default: channel.abort()
    }
  }

  /// Keeps the request, channel and all, for a process with new code. `refused`: it has been handed back.
  private mutating func keep(_ envelope: QueueEnvelope, _ outcome: wsgi_outcome) -> Reloads.Verdict {
    guard let head = try? RequestHead(decoding: reader.head) else { return .refused }
    if pool.reloads.leavesAlone(head) { return .foundBefore }
    let change = ScriptChange(
      script: Array(head.script), applicationGroup: Array(head.applicationGroup), modified: outcome.script_modified,
      failure: outcome.script_failure)
    log(
      .info,
      change.failure == 0
        ? "Script changed; holding the request for a process with the new code."
        : "The script's import failed before; holding the request for a process that imports it afresh.")
    guard let descriptor = channel.detach() else { return .refused }
    let request = Reloads.Kept(change: change, channel: descriptor, envelope: envelope, head: Array(reader.head))
    let verdict = pool.reloads.keep(request, pool.control)
    guard verdict != .kept else { return .kept }
    channel.open(descriptor, envelope.channelKind, takesDescriptors: envelope.takesDescriptors)
    if verdict == .refused { channel.handBack() }
    return verdict
  }

  // MARK: what the engine asks for

  /// The application is about to be called at `time`, or imported first (0), or the request may have to wait before that (-1).
  mutating func begin(_ time: Int64) {
    leaveLine()
    guard time >= 0 else { return }
    pool.owners?.noteBegun(envelope, pid: pool.processID)
    if time > 0, marksActivity { pool.markActivity() }
  }

  /// The request has the GIL, waits for something else, or has ended.
  @inline(__always)
  private mutating func leaveLine() {
    guard waitsForGIL else { return }
    waitsForGIL = false
    if isWatched { waits = wsgi_posix_waits() }
    pool.election.hasGIL()
  }

  mutating func send(
    head: UnsafeRawBufferPointer?, body: UnsafeRawBufferPointer, flags: SendFlags
  ) -> Int32 {
    if marksActivity, !body.isEmpty || flags.contains(.end) { pool.markActivity() }
    do throws(ExchangeFailure) {
      try channel.send(head: head, body: body, flags: flags)
      return 0
    } catch {
      return error.rawValue
    }
  }

  mutating func sendFile(head: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64) -> Int32 {
    if marksActivity { pool.markActivity() }
    do throws(ExchangeFailure) {
      try channel.sendFile(head: head, descriptor: descriptor, offset: offset, length: length)
      return 0
    } catch {
      return error.rawValue
    }
  }

  mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Int64 {
    if marksActivity { pool.markActivity() }
    do throws(ExchangeFailure) {
      return Int64(try channel.read(into: buffer))
    } catch {
      return Int64(error.rawValue)
    }
  }

  mutating func log(_ record: wsgi_log_record) {
    let level = LogLevel(clamping: record.level)
    guard level <= logLevel, let text = record.text else { return }
    let file = UnsafeRawBufferPointer(start: record.file, count: record.file.map { strlen($0) } ?? 0)
    var pieces = LogPieces(UnsafeRawBufferPointer(start: text, count: record.length))
    while let piece = pieces.next() {
      if channel.log(level: level, file: file, line: record.line, text: piece) { continue }
      // The response is complete, or the child has gone: the process's log is better than none, if it says whose the record is.
      let rest = Array(requestPrefix().utf8) + Array(piece) + Array(pieces.rest ?? UnsafeRawBufferPointer(start: nil, count: 0))
      return pool.log.write(level, rest, file: Array(file), line: record.line)
    }
  }

  /// The prefix that httpd gives a record of the request, and the id that its other records carry.
  @inline(never)
  private func requestPrefix() -> String {
    guard let head = try? RequestHead(decoding: reader.head) else { return "" }
    func text(_ bytes: UnsafeRawBufferPointer?) -> String { bytes.map { String(decoding: $0, as: UTF8.self) } ?? "-" }
    var environ = head.environ
    var address: UnsafeRawBufferPointer?
    var port: UnsafeRawBufferPointer?
    for _ in 0..<head.pairCount {
      guard let (key, value) = try? environ.readPair() else { break }
      if key.elementsEqual("REMOTE_ADDR".utf8) { address = value }
      if key.elementsEqual("REMOTE_PORT".utf8) { port = value }
    }
    return "[client \(text(address)):\(text(port))] [script \(text(head.script))] [request \(text(head.requestID))] "
  }

  private mutating func log(_ level: LogLevel, _ text: String) {
    var text = text
    text.withUTF8 { utf8 in
      log(wsgi_log_record(level: level.rawValue, line: 0, file: nil, text: utf8.baseAddress, length: utf8.count))
    }
  }
}
