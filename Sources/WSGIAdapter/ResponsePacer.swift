import Glibc
import PythonRuntime
import Synchronization

/// Sends what streaming responses have gathered.
///
/// PEP 3333 wants every block of an iterable on its way while the application makes the next one. A system call for each costs
/// more than most blocks are worth, so that blocks which follow one another quickly are gathered, and this thread, which no
/// application can hold up, sends whatever has waited for a tick. It runs only while there are such responses.
final class ResponsePacer: @unchecked Sendable {  // everything is guarded by `mutex`
  /// How long a block may wait for company, in microseconds.
  private static let tick: UInt32 = 1000

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wanted = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var watched: [RequestRunner] = []
  private var isStarted = false
  private var isUnavailable = false

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wanted, nil)
  }

  deinit {
    pthread_cond_destroy(wanted)
    pthread_mutex_destroy(mutex)
    wanted.deallocate()
    mutex.deallocate()
  }

  /// Watches a runner until `forget`. False where there is no thread to do it.
  func watch(_ runner: RequestRunner) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard startThread() else { return false }
    if watched.isEmpty { pthread_cond_signal(wanted) }
    watched.append(runner)
    return true
  }

  func forget(_ runner: RequestRunner) {
    pthread_mutex_lock(mutex)
    if let index = watched.firstIndex(where: { $0 === runner }) { watched.swapAt(index, watched.count - 1) }
    if watched.last === runner { watched.removeLast() }
    pthread_mutex_unlock(mutex)
  }

  private func startThread() -> Bool {
    if isStarted { return true }
    if isUnavailable { return false }
    isStarted = BackgroundThread.start { [self] in loop() }
    isUnavailable = !isStarted
    return isStarted
  }

  private func loop() {
    var runners: [RequestRunner] = []
    while true {
      pthread_mutex_lock(mutex)
      while watched.isEmpty { pthread_cond_wait(wanted, mutex) }
      pthread_mutex_unlock(mutex)
      usleep(ResponsePacer.tick)
      pthread_mutex_lock(mutex)
      runners.append(contentsOf: watched)
      pthread_mutex_unlock(mutex)
      for runner in runners { runner.sendGathered() }
      runners.removeAll(keepingCapacity: true)
    }
  }
}

/// A thread that runs to the end of the process, with all signals blocked: those are for the server's own threads.
enum BackgroundThread {
  private final class Work {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let context = Unmanaged.passRetained(Work(body)).toOpaque()
    var thread = pthread_t()
    let failed = pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
        return nil
      }, context)
    guard failed == 0 else {
      Unmanaged<Work>.fromOpaque(context).release()
      return false
    }
    pthread_detach(thread)
    return true
  }
}
