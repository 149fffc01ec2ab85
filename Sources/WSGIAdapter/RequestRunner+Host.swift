import Glibc
import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

// Calls of the host, which takes them from one thread at a time and none after the request. An application may hand its request
// to threads of its own: they take turns here. Everything is under the GIL, but for what `detached` runs. Blocks of a streamed
// response that follow one another quickly wait for company (`ResponsePacer`).
extension RequestRunner {
  /// Calls the host without the GIL, after sending what has been gathered. Attached. Nil: the request has ended, as it may for a
  /// thread other than its own, or it is the request of the process that forked this one.
  func detached<R>(_ gil: borrowing GILToken, _ body: (RequestExchange) -> R) -> R? {
    guard awaitHost(gil), isActive, !Python.isForkedChild else { return nil }
    let exchange = self.exchange
    isHostBusy = true
    defer { isHostBusy = false }
    guard gathered.isShared else { return attachment.detached(gil) { body(exchange) } }
    return attachment.detached(gil) {
      gathered.lock.lock()
      defer { gathered.lock.unlock() }
      _ = sendAllGathered([.flush])
      return body(exchange)
    }
  }

  /// Waits until no thread is in a call of the host; until the GIL is given up none will be. False: the request has ended
  /// meanwhile. The results of a call of the host, and memory that it is lent, may only be read and changed after this.
  @inline(__always)
  func awaitHost(_ gil: borrowing GILToken) -> Bool { isHostBusy ? awaitBusyHost(gil) : true }

  @inline(never)
  private func awaitBusyHost(_ gil: borrowing GILToken) -> Bool {
    let number = requestNumber
    repeat { attachment.detached(gil) { _ = usleep(RequestRunner.hostPause) } } while isHostBusy && requestNumber == number
    return isActive && requestNumber == number
  }

  /// The request is over: waits for threads that are still in a call of its host. None begins another.
  func leaveHost(_ gil: borrowing GILToken) {
    stage = .idle
    while isHostBusy { attachment.detached(gil) { _ = usleep(RequestRunner.hostPause) } }
  }

  /// Microseconds. The waiting thread has nothing else to do, and it hardly ever happens.
  private static let hostPause: UInt32 = 200

  // MARK: gathered blocks

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
    let isFirst = gathered.bytes.count == 0
    gathered.bytes.append(block)
    var result = gathered.failure?.rawValue ?? 0
    if gathered.bytes.count >= GatheredOutput.limit { result = sendAllGathered([.flush, .tryOnly]) }
    gathered.lock.unlock()
    if isFirst { adapter.pacer.wake() }
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
    gathered.isDue = false
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
    gathered.bytes.truncate(to: result == ExchangeFailure.wouldBlock.rawValue ? before : 0)
    if result != ExchangeFailure.wouldBlock.rawValue { gathered.isDue = false }
    return result
  }

  /// The request is over: what is left is sent, and the host goes. Not attached.
  func stopGathering() {
    guard gathered.isShared else { return }
    adapter.pacer.forget(self)
    gathered.lock.lock()
    if !gathered.isLast {
      // Left over where the application failed: the client gets what came before that.
      _ = sendAllGathered(.flush)
    } else if gathered.failure == nil {
      let begun = meter.isOn ? Clock.monotonicNanoseconds() : 0
      _ = exchange.send(head: nil, body: gathered.bytes.bytes, flags: .end)
      if meter.isOn { meter.wrote(since: begun, traffic) }
    }
    gathered.isShared = false
    gathered.isLast = false
    gathered.isDue = false
    gathered.bytes.reset()
    gathered.failure = nil
    gathered.lock.unlock()
  }
}
