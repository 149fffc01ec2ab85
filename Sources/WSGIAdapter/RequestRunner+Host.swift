import Glibc
import Platform
import PythonRuntime
import WSGICore

// Calls of the host, which takes them from one thread at a time and none after the request. An application may hand its request
// to threads of its own: they take turns here. Everything is under the GIL, but for what `detached` runs.
extension RequestRunner {
  /// Talks to the host without the GIL, after what has been gathered has gone. Attached. Nil: the request has ended, as it may
  /// for a thread other than its own, or it is the request of the process that forked this one.
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
  /// meanwhile. What a call of the host decides, and memory that it is lent, may only be looked at and changed after this.
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

  /// Microseconds. Who waits has nothing else to do, and it hardly ever happens.
  private static let hostPause: UInt32 = 200
}
