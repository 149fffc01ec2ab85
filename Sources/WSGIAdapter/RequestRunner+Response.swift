import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

// What the application returned, on its way out: sequences, iterables, and the bytes that `write` was given.
extension RequestRunner {
  /// A list or tuple is taken out in one go; small ones are sent when the GIL has been given up.
  func answer(sequence: PyObj, sendsBody: inout Bool, _ gil: borrowing GILToken) throws -> RequestOutcome {
    let isList = sequence.isExactList
    let count = isList ? sequence.listCount : sequence.tupleCount
    var total = 0
    for index in 0..<count {
      let item = isList ? sequence.listItem(index) : sequence.tupleItem(index)
      guard item.isBytes else { throw notBytes(item) }
      total = total &+ item.bytes.count
    }
    guard isStarted else { throw notStarted() }
    _ = awaitHost(gil)
    traffic.outputBytes &+= UInt64(total)
    if !isCommitted, head.contentLength < 0, !(isHead && total == 0), RequestRunner.mayHaveBody(status) {
      head.addContentLength(Int64(total))
    }
    // Who wants to hear of the end of the request must not keep the client waiting.
    if !isCommitted, total <= RequestRunner.smallBody, !isPublished {
      for index in 0..<count { body.append((isList ? sequence.listItem(index) : sequence.tupleItem(index)).bytes) }
      let isCut = head.contentLength >= 0 && Int64(total) != head.contentLength
      guard isCut else {
        sendsBody = true
        return done()
      }
    }
    for index in 0..<count {
      let item = (isList ? sequence.listItem(index) : sequence.tupleItem(index)).retained()
      // Another thread of the application may have changed the list while a block was on its way.
      guard item.object.isBytes else { throw notBytes(item.object) }
      guard try sendBlock(item.object.bytes, flushes: false, counts: false, gil) else { break }
      guard sequence.sequenceCount > index + 1 || index + 1 == count else { break }
    }
    return try end(gil)
  }

  /// Up to this many bytes a response is copied out to be sent without the GIL in one piece.
  static let smallBody = 65536

  static func mayHaveBody(_ status: UInt32) -> Bool { status >= 200 && status != 204 && status != 304 }

  func notBytes(_ item: PyObj) -> Raised {
    Raised(.typeError, "response iterable must yield bytes, not \(item.typeName): \(item.shown())")
  }

  func notStarted() -> Raised { Raised(.runtimeError, "response has not been started: start_response() was not called") }

  func answer(iterable: PyObj, _ gil: borrowing GILToken) throws -> RequestOutcome {
    let iterator = try iterable.iterator()
    while let item = try iterator.next() {
      guard item.object.isBytes else { throw notBytes(item.object) }
      if item.object.bytes.isEmpty { continue }
      guard try sendBlock(item.object.bytes, flushes: true, counts: true, gil) else { break }
    }
    return try end(gil)
  }

  /// Sends a block; false when nobody is left to send to.
  func sendBlock(_ block: UnsafeRawBufferPointer, flushes: Bool, counts: Bool, _ gil: borrowing GILToken) throws(Raised) -> Bool {
    endIfForked()
    do throws(WriteFailure) {
      try transmit(block, flushes ? .flush : [], counts: counts, gathers: flushes, gil)
      return true
    } catch {
      if case .notStarted = error { throw notStarted() }
      return false
    }
  }

  /// start_response's `write`.
  func write(_ block: UnsafeRawBufferPointer, _ gil: borrowing GILToken) throws(WriteFailure) {
    try transmit(block, .flush, counts: true, gil)
  }

  /// Passes bytes on, after the head where that has not gone yet; what exceeds Content-Length is dropped. Attached.
  func transmit(
    _ block: UnsafeRawBufferPointer, _ flags: SendFlags, counts: Bool, gathers: Bool = false, _ gil: borrowing GILToken
  ) throws(WriteFailure) {
    guard isStarted else { throw .notStarted }
    guard awaitHost(gil), !Python.isForkedChild else { throw .exchange(.closed) }
    if case .broken(let failure) = stage { throw .exchange(failure) }
    if counts { traffic.outputBytes &+= UInt64(block.count) }
    traffic.outputWrites &+= 1
    var block = block
    if head.contentLength >= 0 {
      let allowed = max(0, head.contentLength &- bytesSent)
      if Int64(block.count) > allowed { block = UnsafeRawBufferPointer(rebasing: block.prefix(Int(clamping: allowed))) }
    }
    bytesSent &+= Int64(block.count)
    let encoded = isCommitted ? nil : head.finish()
    if isCommitted && block.isEmpty && !flags.contains(.end) { return }
    let begun = meter.isOn ? Clock.monotonicNanoseconds() : 0
    if gathers && gathered.isAllowed && encoded == nil && block.count < GatheredOutput.limit {
      if try gather(block, gil) {
        if meter.isOn { meter.wrote(since: begun, traffic) }
        return
      }
    }
    var result = ExchangeFailure.wouldBlock.rawValue
    if gathered.isShared {
      result = sendAfterGathered(block, flags)
    } else if block.count <= RequestRunner.tryLimit {
      result = exchange.send(head: encoded, body: block, flags: flags.union(.tryOnly))
      gathered.isAllowed = result == 0
    }
    if result == ExchangeFailure.wouldBlock.rawValue {
      result = detached(gil) { $0.send(head: encoded, body: block, flags: flags) } ?? ExchangeFailure.closed.rawValue
    }
    if meter.isOn { meter.wrote(since: begun, traffic) }
    guard result >= 0 else {
      let failure = ExchangeFailure(code: Int64(result))
      stage.fail(failure)
      throw .exchange(failure)
    }
    stage.commit()
    if flags.contains(.end) { stage.complete() }
  }

  /// Larger blocks are never sent with the GIL held.
  static let tryLimit = 32768

  /// Completes the response after the last block.
  func end(_ gil: borrowing GILToken) throws -> RequestOutcome {
    endIfForked()
    guard isStarted else { throw notStarted() }
    _ = awaitHost(gil)
    if stage == .started || stage == .committed {
      if head.contentLength >= 0, bytesSent < head.contentLength, isCommitted, !isHead, RequestRunner.mayHaveBody(status) {
        return cutShort()
      }
      if !isCommitted, bytesSent == 0, head.contentLength < 0, !isHead, RequestRunner.mayHaveBody(status) {
        head.addContentLength(0)
      }
      let isCut = head.contentLength > 0 && bytesSent < head.contentLength && !isHead && RequestRunner.mayHaveBody(status)
      do throws(WriteFailure) {
        // What subscribers do at the end of the request, the client need not wait for.
        let flags: SendFlags = isPublished ? [.end, .flush] : .end
        try transmit(UnsafeRawBufferPointer(start: nil, count: 0), isCut ? .flush : flags, counts: false, gil)
      } catch {}
      if isCut, stage == .started || stage == .committed { return cutShort() }
    }
    if stage == .broken(.badHead) { return failure(500) }
    return done()
  }

  func cutShort() -> RequestOutcome {
    contents.adapter.logHere(
      .error,
      "WSGI0503: The application's response has \(bytesSent) bytes, but its Content-Length is \(head.contentLength); "
        + "closing the connection.")
    var outcome = done()
    outcome.end = .aborted
    return outcome
  }

  func done() -> RequestOutcome {
    var outcome = RequestOutcome()
    outcome.status = Int32(clamping: status)
    return outcome
  }
}
