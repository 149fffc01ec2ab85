import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

/// `wsgi.input` of one request.
///
/// The body is read ahead into a buffer that small reads and lines are served from; large reads go straight into the bytes
/// object that is returned. The GIL is given up around every read that may wait.
final class InputStream: NativeObject {
  static let methods: [StaticString] = ["read", "readline", "readlines", "close"]
  private static let bufferSize = 65536
  /// The first step of a read whose size is not known.
  private static let firstStep = 65536
  /// The first step of one whose size the client or the application names: a name costs nothing, memory does.
  private static let largestFirstStep = 1 << 20

  unowned(unsafe) let runner: RequestRunner
  /// False once its request has ended and an application has kept it: the runner goes on with others.
  var isValid = true
  private var buffer: UnsafeMutableRawBufferPointer?
  private var start = 0
  private var end = 0
  private var isAtEnd = false
  private var hasFailed = false

  init(_ runner: RequestRunner) { self.runner = runner }

  deinit { buffer?.deallocate() }

  /// Makes ready for another request.
  func reset(hasBody: Bool) {
    start = 0
    end = 0
    isAtEnd = !hasBody
    hasFailed = false
  }

  override func invoke(_ method: Int, _ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    let name: StaticString = InputStream.methods[method]
    try arguments.expect(0...(method == 3 ? 0 : 1), name)
    let limit = try arguments[0].flatMap { $0.isNone ? nil : $0 }?.int() ?? -1
    guard isValid, runner.isActive else { throw Raised(.runtimeError, "\(name)() called on wsgi.input after request completed") }
    switch method {
    case 0: return try read(limit, gil)
    case 1: return try readLine(limit, gil)
    case 2: return try readLines(hint: limit, gil)
    default: return .none()
    }
  }

  override func next(_ gil: borrowing GILToken) throws(Raised) -> PyRef? {
    guard isValid, runner.isActive else {
      throw Raised(.runtimeError, "iteration of wsgi.input attempted after request completed")
    }
    let line = try readLine(-1, gil)
    if line.object.bytes.isEmpty { return nil }
    return line
  }

  // MARK: reading

  private func requireNoFailure() throws(Raised) {
    guard !hasFailed else { throw Raised(.osError, "mod_wsgi request data read error: Input is already in error state.") }
  }

  /// Reads at least one byte into `target` without the GIL; 0 at the end of the body.
  private func fetch(_ target: UnsafeMutableRawBufferPointer, _ gil: borrowing GILToken) throws(Raised) -> Int {
    try requireNoFailure()
    if isAtEnd { return 0 }
    let begun = runner.meter.isOn ? Clock.monotonicNanoseconds() : 0
    let count = runner.detached(gil) { $0.read(into: target) } ?? Int64(ExchangeFailure.closed.rawValue)
    guard count >= 0, count <= target.count else {
      hasFailed = true
      let failure = ExchangeFailure(code: count)
      throw Raised(.osError, "mod_wsgi request data read error: \(failure.readExplanation)")
    }
    if count == 0 { isAtEnd = true }
    runner.traffic.inputBytes &+= UInt64(count)
    if runner.meter.isOn { runner.meter.read(since: begun, runner.traffic) }
    return Int(count)
  }

  /// Fills the empty buffer; false at the end of the body.
  private func refill(_ gil: borrowing GILToken) throws(Raised) -> Bool {
    let buffer = self.buffer ?? .allocate(byteCount: InputStream.bufferSize, alignment: 16)
    self.buffer = buffer
    // Another thread of the application may be filling it.
    guard runner.awaitHost(gil) else {
      throw Raised(.osError, "mod_wsgi request data read error: \(ExchangeFailure.closed.readExplanation)")
    }
    if start < end { return true }
    start = 0
    end = 0
    end = try fetch(buffer, gil)
    return end > 0
  }

  private var buffered: UnsafeRawBufferPointer {
    guard let buffer, start < end else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[start..<end])
  }

  private func read(_ limit: Int, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    runner.traffic.inputReads &+= 1
    try requireNoFailure()
    if limit == 0 {
      // Tells a client that waits for "100 Continue" that its body is wanted.
      if !isAtEnd && start == end {
        _ = runner.detached(gil) { $0.read(into: UnsafeMutableRawBufferPointer(start: nil, count: 0)) }
      }
      return try PyRef.bytes(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    if start == end && isAtEnd { return try PyRef.bytes(UnsafeRawBufferPointer(start: nil, count: 0)) }
    if limit > 0, end - start >= limit {
      let data = try PyRef.bytes(UnsafeRawBufferPointer(rebasing: buffered.prefix(limit)))
      start += limit
      return data
    }
    let known = runner.remainingInput ?? InputStream.firstStep
    let wanted = limit < 0 ? known : min(limit, max(known, InputStream.firstStep))
    let size = max(min(wanted, InputStream.largestFirstStep), end - start, 1)
    var block = try BytesBlock(size: size)
    // With a limit the buffer holds less than that: otherwise it would have been the whole answer, above.
    block.append(buffered)
    start = 0
    end = 0
    while limit < 0 || block.count < limit {
      if block.room == 0 {
        // Only an exact answer is left to wait for: the end, or more than was announced.
        let wanted = limit < 0 ? Int.max : limit - block.count
        guard try refill(gil) else { break }
        let taken = min(end - start, wanted)
        try block.grow(to: block.count + min(max(block.count, taken), wanted))
        block.append(UnsafeRawBufferPointer(rebasing: buffered.prefix(taken)))
        start += taken
        continue
      }
      let target = limit < 0 ? block.free : UnsafeMutableRawBufferPointer(rebasing: block.free.prefix(limit - block.count))
      let count = try fetch(target, gil)
      if count == 0 { break }
      block.count += count
    }
    return try block.finish()
  }

  private func readLine(_ limit: Int, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    runner.traffic.inputReads &+= 1
    try requireNoFailure()
    if limit == 0 { return try PyRef.bytes(UnsafeRawBufferPointer(start: nil, count: 0)) }
    var line: [UInt8] = []
    while true {
      if start == end, !(try refill(gil)) { break }
      let room = limit < 0 ? Int.max : limit - line.count
      let part = UnsafeRawBufferPointer(rebasing: buffered.prefix(room))
      if let newline = part.firstIndex(of: 0x0A) {
        let piece = UnsafeRawBufferPointer(rebasing: part[...newline])
        start += piece.count
        if line.isEmpty { return try PyRef.bytes(piece) }
        line.append(contentsOf: piece)
        break
      }
      start += part.count
      line.append(contentsOf: part)
      if limit > 0 && line.count >= limit { break }
    }
    return try PyRef.bytes(line)
  }

  private func readLines(hint: Int, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    let lines = try PyRef.list()
    var total = 0
    while true {
      let line = try readLine(-1, gil)
      let count = line.object.bytes.count
      if count == 0 { return lines }
      try lines.object.append(line)
      total += count
      if hint > 0 && total >= hint { return lines }
    }
  }
}
