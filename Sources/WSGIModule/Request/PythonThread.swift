import Glibc

/// A thread that waits for work, so that Python can be begun and ended on the same thread when neither happens on httpd's.
///
/// It takes no signals, which httpd expects elsewhere, and is there until its process ends. One caller at a time.
final class PythonThread: @unchecked Sendable {  // `job` is guarded by `mutex`
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var job: (() -> Void)?
  private var isLaunched = false

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  /// Runs `body` on the thread and waits for its end. False: there is no thread, and nothing was run.
  func run(_ body: @escaping () -> Void) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if !isLaunched { isLaunched = launch() }
    guard isLaunched else { return false }
    job = body
    pthread_cond_broadcast(changed)
    while job != nil { pthread_cond_wait(changed, mutex) }
    return true
  }

  private func launch() -> Bool {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let retained = Unmanaged.passRetained(self)
    let result = pthread_create(
      &thread, nil,
      { this in
        if let this { Unmanaged<PythonThread>.fromOpaque(this).takeRetainedValue().work() }
        return nil
      }, retained.toOpaque())
    guard result == 0 else {
      retained.release()
      return false
    }
    pthread_detach(thread)
    return true
  }

  private func work() {
    pthread_mutex_lock(mutex)
    while true {
      while job == nil { pthread_cond_wait(changed, mutex) }
      let body = job
      pthread_mutex_unlock(mutex)
      body?()
      pthread_mutex_lock(mutex)
      job = nil
      pthread_cond_broadcast(changed)
    }
  }
}
