import Glibc
import Synchronization

extension timespec {
  fileprivate init(nanoseconds: UInt64) {
    self.init(tv_sec: Int(clamping: nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
  }
}

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
  /// Wakes all threads that wait. While holding the lock.
  public func announce() { pthread_cond_broadcast(changed) }
  /// Waits for the next announcement. While holding the lock, which is released meanwhile.
  public func wait() { pthread_cond_wait(changed, mutex) }

  /// The same, up to a time of `Clock.monotonicNanoseconds`; false when that has come.
  public func wait(until deadline: UInt64) -> Bool {
    var time = timespec(nanoseconds: deadline)
    return pthread_cond_timedwait(changed, mutex, &time) != ETIMEDOUT
  }
}

/// A lock that its holder may take again: an import may cause another import on the same thread.
public final class RecursiveLock: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

  public init() {
    var attributes = pthread_mutexattr_t()
    pthread_mutexattr_init(&attributes)
    pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_RECURSIVE))
    pthread_mutex_init(mutex, &attributes)
    pthread_mutexattr_destroy(&attributes)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  public func lock() { pthread_mutex_lock(mutex) }
  public func tryLock() -> Bool { pthread_mutex_trylock(mutex) == 0 }
  /// False: another thread has kept it for so many milliseconds.
  public func lock(milliseconds: Int) -> Bool {
    var until = timespec(nanoseconds: Clock.monotonicNanoseconds() &+ UInt64(clamping: milliseconds) &* 1_000_000)
    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until) == 0
  }
  public func unlock() { pthread_mutex_unlock(mutex) }
}

/// True the first time it is asked.
public final class FirstTime: Sendable {
  private let asked = Atomic<Bool>(false)
  public init() {}
  public var isFirst: Bool { !asked.exchange(true, ordering: .relaxed) }
}
