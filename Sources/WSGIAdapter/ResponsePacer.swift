import Glibc
import Platform

/// Sends what streaming responses have gathered.
///
/// PEP 3333 wants every block of an iterable on its way while the application makes the next one. A system call for each costs
/// more than most blocks are worth, so that blocks which follow one another quickly are gathered, and this thread, which no
/// application can hold up, sends whatever has waited for a tick. It runs only while there are such responses.
final class ResponsePacer: @unchecked Sendable {  // everything is guarded by `condition`
  /// How long a block may wait for company, in microseconds.
  private static let tick: UInt32 = 1000

  private let condition = Condition()
  private var watched: [RunningRequest] = []
  private var isStarted = false

  /// Watches a runner until `forget`. False where no thread can be started for it.
  func watch(_ runner: RunningRequest) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    if !isStarted { isStarted = DetachedThread.start { [self] in loop() } == 0 }
    guard isStarted else { return false }
    if watched.isEmpty { condition.announce() }
    watched.append(runner)
    return true
  }

  func forget(_ runner: RunningRequest) {
    condition.lock()
    if let index = watched.firstIndex(where: { $0 === runner }) { watched.swapAt(index, watched.count - 1) }
    if watched.last === runner { watched.removeLast() }
    condition.unlock()
  }

  private func loop() {
    var runners: [RunningRequest] = []
    while true {
      condition.lock()
      while watched.isEmpty { condition.wait() }
      condition.unlock()
      usleep(ResponsePacer.tick)
      condition.lock()
      runners.append(contentsOf: watched)
      condition.unlock()
      for runner in runners { runner.sendGathered() }
      runners.removeAll(keepingCapacity: true)
    }
  }
}
