import Glibc
import Platform
import Synchronization
import WSGICore

/// Publishes SIGHUP and SIGUSR2 to Python, one after the other, on a thread that the first of them starts. Signals that arrive
/// while many wait are dropped.
final class SignalDispatcher: Sendable {
  private let engine: Engine
  private let stackSize: Int
  private struct State {
    var waiting: [Int32] = []
    var isRunning = false
    var hasEnded = false
  }
  private let state = Mutex(State())
  private let idle = Wakeup()

  init(_ engine: Engine, stackSize: Int) {
    self.engine = engine
    self.stackSize = stackSize
  }

  func dispatch(_ signal: Int32) {
    let starts = state.withLock { state in
      guard !state.hasEnded, state.waiting.count < 16 else { return false }
      state.waiting.append(signal)
      guard !state.isRunning else { return false }
      state.isRunning = true
      return true
    }
    guard starts else { return }
    idle.set(1)
    if DetachedThread.start(named: "wsgi:signals", stackSize: stackSize, takesSignals: true, { [self] in run() }) != 0 {
      state.withLock { $0.isRunning = false }
      idle.set(0)
    }
  }

  private func run() {
    while true {
      let next = state.withLock { state -> Int32? in
        if !state.waiting.isEmpty, !state.hasEnded { return state.waiting.removeFirst() }
        state.isRunning = false
        return nil
      }
      guard let next else { break }
      engine.signal(next)
    }
    idle.set(0)
  }

  /// Publishes nothing more, and waits for what is being published.
  func end() {
    state.withLock { $0.hasEnded = true }
    while idle.value != 0 { idle.wait(while: 1, milliseconds: 1000) }
  }
}
