import Glibc
import Platform
import Synchronization

/// Sends what streaming responses have gathered.
///
/// PEP 3333 wants every block of an iterable on its way while the application makes the next one. A system call for each costs
/// more than most blocks are worth, so that blocks which follow one another quickly are gathered, and this thread, which no
/// application can hold up, sends whatever has waited from one tick to the next. It sleeps when nothing does.
final class ResponsePacer: @unchecked Sendable {  // everything is guarded by `condition`
  /// In microseconds. A block waits for company between one and two of them.
  private static let tick: UInt32 = 1000
  /// Ticks without anything to send after which the thread sleeps: to wake it costs more than a tick.
  private static let patience = 4

  private let condition = Condition()
  private var watched: [RunningRequest] = []
  private var isStarted = false
  private let sleeps = Atomic<Bool>(false)

  /// Watches a runner until `forget`. False where no thread can be started for it.
  func watch(_ runner: RunningRequest) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    if !isStarted { isStarted = DetachedThread.start { [self] in loop() } == 0 }
    guard isStarted else { return false }
    watched.append(runner)
    return true
  }

  func forget(_ runner: RunningRequest) {
    condition.lock()
    if let index = watched.firstIndex(where: { $0 === runner }) { watched.swapAt(index, watched.count - 1) }
    if watched.last === runner { watched.removeLast() }
    condition.unlock()
  }

  /// A runner that is watched has something to send, and has let go of the lock under which it got that.
  @inline(__always)
  func wake() { if sleeps.load(ordering: .relaxed) { endSleep() } }

  @inline(never)
  private func endSleep() {
    condition.lock()
    if sleeps.exchange(false, ordering: .relaxed) { condition.announce() }
    condition.unlock()
  }

  private func loop() {
    var quiet = 0
    while true {
      usleep(ResponsePacer.tick)
      quiet = sendDue() ? 0 : quiet &+ 1
      guard quiet > ResponsePacer.patience else { continue }
      sleeps.store(true, ordering: .relaxed)
      // What was gathered just before that woke nobody.
      if sendDue() {
        sleeps.store(false, ordering: .relaxed)
      } else {
        condition.lock()
        while sleeps.load(ordering: .relaxed) { condition.wait() }
        condition.unlock()
      }
      quiet = 0
    }
  }

  /// False: no runner has anything to send.
  private func sendDue() -> Bool {
    condition.lock()
    let runners = watched
    condition.unlock()
    var isNeeded = false
    for runner in runners where runner.sendGathered() { isNeeded = true }
    return isNeeded
  }
}
