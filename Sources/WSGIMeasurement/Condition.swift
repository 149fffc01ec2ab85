import Glibc
import Synchronization

/// A mutex and a condition, for threads that wait with a limit.
public final class Condition: @unchecked Sendable {  // what it is made of is meant to be shared
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  public init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  public func lock() { pthread_mutex_lock(mutex) }
  public func unlock() { pthread_mutex_unlock(mutex) }
  /// Wakes everybody who waits. While holding the lock.
  public func announce() { pthread_cond_broadcast(changed) }
  /// Waits for the next announcement. While holding the lock, which is given up meanwhile.
  public func wait() { pthread_cond_wait(changed, mutex) }

  /// The same, up to a time of `Clock.monotonic`; false when that has come.
  public func wait(until deadline: UInt64) -> Bool {
    var time = timespec(tv_sec: Int(clamping: deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
    return pthread_cond_timedwait(changed, mutex, &time) != ETIMEDOUT
  }
}

/// True the first time it is asked.
public final class FirstTime: Sendable {
  private let asked = Atomic<Bool>(false)
  public init() {}
  public var isFirst: Bool { !asked.exchange(true, ordering: .relaxed) }
}
