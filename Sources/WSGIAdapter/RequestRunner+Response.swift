import Glibc
import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

// Sends what the application returned: sequences, files, iterables, and the bytes that `write` was given; and ends requests that
// do not end with a response.
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
    // Subscribers to the end of the request must not keep the client waiting.
    let isWhole = head.contentLength < 0 || Int64(total) == head.contentLength
    if !isCommitted, total <= RequestRunner.smallBody, !isPublished, isWhole {
      for index in 0..<count { body.append((isList ? sequence.listItem(index) : sequence.tupleItem(index)).bytes) }
      sendsBody = true
      return done()
    }
    for index in 0..<count {
      let item = (isList ? sequence.listItem(index) : sequence.tupleItem(index)).retained()
      // Another thread of the application may have changed the list while a block was on its way.
      guard item.object.isBytes else { throw notBytes(item.object) }
      guard try sendBlock(item.object.bytes, streams: false, gil) else { break }
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
      guard try sendBlock(item.object.bytes, streams: true, gil) else { break }
    }
    // Nothing of a generator runs once it has ended: its last blocks can be sent after the GIL has gone to the next thread.
    return try end(gil, mayWait: iterable.isExactGenerator)
  }

  /// Sends a block, of a stream or of a sequence whose size is known; false when the client has gone.
  func sendBlock(_ block: UnsafeRawBufferPointer, streams: Bool, _ gil: borrowing GILToken) throws(Raised) -> Bool {
    endIfForked()
    do throws(WriteFailure) {
      try transmit(block, streams ? .flush : [], counts: streams, gathers: streams, gil)
      return true
    } catch {
      if case .notStarted = error { throw notStarted() }
      return false
    }
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

  /// Completes the response after the last block. `mayWait`: its end may be sent when the request is over.
  func end(_ gil: borrowing GILToken, mayWait: Bool = false) throws -> RequestOutcome {
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
      if mayWait, gathered.isShared, stage == .committed, !isPublished, !Python.isForkedChild,
        head.contentLength < 0 || bytesSent >= head.contentLength
      {
        gathered.isLast = true
        traffic.outputWrites &+= 1
        stage.complete()
        return done()
      }
      // The client need not wait for subscribers to the end of the request.
      let flags: SendFlags = isPublished ? [.end, .flush] : .end
      try? transmit(UnsafeRawBufferPointer(start: nil, count: 0), isCut ? .flush : flags, counts: false, gil)
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
    return RequestOutcome(.aborted, status: Int32(clamping: status))
  }

  func done() -> RequestOutcome { RequestOutcome(status: Int32(clamping: status)) }

  // MARK: files

  /// Hands the regular file of a wsgi.file_wrapper to the host, to send; nil where the wrapper must be iterated instead. The
  /// answer to a HEAD is its head alone: nothing is read for it.
  func answer(file wrapper: PyObj, _ gil: borrowing GILToken) throws -> RequestOutcome? {
    guard let file = regularFile(wrapper) else { return isHead ? try end(gil) : nil }
    let available = max(0, file.size &- file.offset)
    _ = awaitHost(gil)
    if head.contentLength < 0, RequestRunner.mayHaveBody(status) { head.addContentLength(available) }
    let length = head.contentLength >= 0 ? min(head.contentLength, available) : available
    if length == 0 || isHead { return try end(gil) }
    let encoded = head.finish()
    traffic.outputBytes &+= UInt64(length)
    traffic.outputWrites &+= 1
    let begun = meter.isOn ? Clock.monotonicNanoseconds() : 0
    // It may lie beyond the end, of which nothing can be sent.
    let offset = min(file.offset, file.size)
    let sent = detached(gil) { $0.sendFile(head: encoded, descriptor: file.descriptor, offset: offset, length: length) }
    let result = sent ?? ExchangeFailure.closed.rawValue
    if meter.isOn { meter.wrote(since: begun, traffic) }
    lseek(file.descriptor, off_t(file.offset), SEEK_SET)
    if result == ExchangeFailure.badHead.rawValue { return failure(500) }
    stage.commit()
    bytesSent = length
    if result >= 0, !isHead, RequestRunner.mayHaveBody(status), length < head.contentLength { return cutShort() }
    return done()
  }

  private struct RegularFile { var descriptor: Int32, offset: Int64, size: Int64 }

  private func regularFile(_ wrapper: PyObj) -> RegularFile? {
    PythonException.ignoring {
      let filelike = try wrapper.attribute("filelike")
      let descriptor = Int32(clamping: try filelike.attribute("fileno").call().int())
      let offset = Int64(try filelike.attribute("tell").call().int())
      var information = stat()
      guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG, offset >= 0 else { return nil }
      return RegularFile(descriptor: descriptor, offset: offset, size: Int64(information.st_size))
    }
  }

  // MARK: other ends

  /// Calls the iterable's `close`, once, whatever happened before.
  func close(_ iterable: PyObj) {
    let pending = PythonException.take()
    do throws(Raised) {
      if let method = try iterable.attributeIfPresent(contents.names.close) { _ = try method.call() }
    } catch {
      contents.logException("WSGI0194: Exception in close() of the response of WSGI script \(scriptLabel).")
    }
    if let pending { _ = Raised(pending) }
  }

  var scriptLabel: String { "'\(value(of: "SCRIPT_FILENAME").map { String(decoding: $0, as: UTF8.self) } ?? "?")'" }

  func handleException(_ request: RequestHead) -> RequestOutcome {
    endIfForked()
    guard let exception = PythonException.take() else { return failure(500) }
    publishException(exception.object)
    if PythonException.matches(exception.object, contents.requestTimeout) {
      contents.adapter.logHere(
        .info,
        isCommitted
          ? "Request interrupted by RequestTimeout; response truncated."
          : "Request interrupted by RequestTimeout; thread recovered.")
      var outcome = failure(504)
      outcome.interrupted = true
      return outcome
    }
    let kind = exception.object.typeName
    let place = "WSGI script \(scriptLabel) in the \(contents.interpreter.label)"
    if PythonException.isSystemExit(exception.object) {
      contents.log(exception.object, "WSGI0175: SystemExit raised by \(place); ignored.")
    } else {
      contents.log(exception.object, "WSGI0174: Exception \(kind) while processing \(place).", script: request.script)
    }
    return failure(500)
  }
}
