import Platform
import PythonRuntime
import WSGICore

// Blocks of a streamed response that follow one another quickly wait for company (`ResponsePacer`).
extension RequestRunner {
  /// Keeps a block for a moment, for the pacer to send if nothing else does. False where there is no pacer.
  func gather(_ block: UnsafeRawBufferPointer, _ gil: borrowing GILToken) throws(WriteFailure) -> Bool {
    if !gathered.isShared {
      guard adapter.pacer.watch(self) else {
        gathered.isAllowed = false
        return false
      }
      gathered.isShared = true
    }
    gathered.lock.lock()
    gathered.bytes.append(block)
    var result = gathered.failure?.rawValue ?? 0
    if gathered.bytes.count >= GatheredOutput.limit { result = sendAllGathered([.flush, .tryOnly]) }
    gathered.lock.unlock()
    if result == ExchangeFailure.wouldBlock.rawValue {
      result = detached(gil) { _ in gathered.failure?.rawValue ?? 0 } ?? ExchangeFailure.closed.rawValue
    }
    guard result < 0 else { return true }
    let failure = ExchangeFailure(code: Int64(result))
    stage.fail(failure)
    throw .exchange(failure)
  }

  /// Sends all that was gathered; 0, or why not. Under the lock.
  func sendAllGathered(_ flags: SendFlags) -> Int32 {
    if let failure = gathered.failure { return failure.rawValue }
    if gathered.bytes.count == 0 { return 0 }
    let result = exchange.send(head: nil, body: gathered.bytes.bytes, flags: flags)
    if result == ExchangeFailure.wouldBlock.rawValue { return result }
    gathered.bytes.reset()
    if result < 0 { gathered.failure = ExchangeFailure(code: Int64(result)) }
    return result
  }

  /// Sends a block behind what was gathered, in one piece where it fits, without waiting.
  func sendAfterGathered(_ block: UnsafeRawBufferPointer, _ flags: SendFlags) -> Int32 {
    gathered.lock.lock()
    defer { gathered.lock.unlock() }
    if let failure = gathered.failure { return failure.rawValue }
    guard block.count <= RequestRunner.tryLimit else { return ExchangeFailure.wouldBlock.rawValue }
    if gathered.bytes.count == 0 { return exchange.send(head: nil, body: block, flags: flags.union(.tryOnly)) }
    let before = gathered.bytes.count
    gathered.bytes.append(block)
    let result = exchange.send(head: nil, body: gathered.bytes.bytes, flags: flags.union(.tryOnly))
    if result == ExchangeFailure.wouldBlock.rawValue {
      gathered.bytes.truncate(to: before)
    } else {
      gathered.bytes.reset()
    }
    return result
  }

  /// The request is over: the host goes.
  func stopGathering() {
    guard gathered.isShared else { return }
    adapter.pacer.forget(self)
    gathered.lock.lock()
    // Left over where the application failed: the client gets what came before that.
    _ = sendAllGathered(.flush)
    gathered.isShared = false
    gathered.bytes.reset()
    gathered.failure = nil
    gathered.lock.unlock()
  }
}
