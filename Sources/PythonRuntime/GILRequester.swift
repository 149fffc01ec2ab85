import CPython
import Platform

/// A thread of the process's own in one interpreter. It asks for the GIL when it is told to, and gives it back at once: a thread
/// that computes in that interpreter then gives it up after the switch interval, to whoever waits for it.
///
/// It runs no Python code, and is started when it is first told to ask.
final class GILRequester: @unchecked Sendable {  // everything is guarded by `condition`
  private let interpreter: OpaquePointer
  private let condition = Condition()
  private var isStarted = false
  private var isAsking = false
  private var isEnding = false
  private var hasThreadState = false

  init(_ interpreter: OpaquePointer) { self.interpreter = interpreter }

  /// Has the thread ask for the GIL, unless it still does. Any thread.
  func ask() {
    condition.lock()
    defer { condition.unlock() }
    guard !isAsking, !isEnding else { return }
    if !isStarted { isStarted = DetachedThread.start(named: "wsgi:gil", stackSize: 131_072) { [self] in loop() } == 0 }
    isAsking = isStarted
    condition.announce()
  }

  /// Waits until it has had the GIL, or asks no more; false at the deadline, a time of `Clock.monotonicNanoseconds`.
  func wait(until deadline: UInt64?) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    while isAsking {
      if let deadline {
        if !condition.wait(until: deadline) { return !isAsking }
      } else {
        condition.wait()
      }
    }
    return true
  }

  /// The number of the interpreter's thread states, without its own. Attached.
  func countOthers() -> Int {
    condition.lock()
    defer { condition.unlock() }
    return wsgi_py_thread_count(interpreter) - (hasThreadState ? 1 : 0)
  }

  /// Ends the thread, with its thread state. Not while attached.
  func end() {
    condition.lock()
    isEnding = true
    condition.announce()
    while isStarted { condition.wait() }
    condition.unlock()
  }

  /// The interpreter goes on after all.
  func beginAgain() {
    condition.lock()
    isEnding = false
    condition.unlock()
  }

  private func loop() {
    condition.lock()
    // Needs no GIL.
    let state = PyThreadState_New(interpreter)
    hasThreadState = state != nil
    while let state, !isEnding {
      guard isAsking else {
        condition.wait()
        continue
      }
      condition.unlock()
      PyEval_RestoreThread(state)
      _ = PyEval_SaveThread()
      condition.lock()
      isAsking = false
      condition.announce()
    }
    condition.unlock()
    if let state {
      PyEval_RestoreThread(state)
      PyThreadState_Clear(state)
      PyThreadState_DeleteCurrent()
    }
    condition.lock()
    hasThreadState = false
    isAsking = false
    isStarted = false
    condition.announce()
    condition.unlock()
  }
}
