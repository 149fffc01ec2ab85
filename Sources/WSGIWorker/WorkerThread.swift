import CPosix
import Glibc

/// A thread of the worker. Threads are never joined: those that must be waited for say themselves when they are done.
enum WorkerThread {
  private final class Start {
    let name: String
    let body: @Sendable () -> Void

    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Starts a thread with a stack of so many bytes (0: the system's). The name, up to 15 bytes, is what `top -H` shows.
  /// 0, or an errno value.
  static func start(_ name: String, stackSize: Int, _ body: @escaping @Sendable () -> Void) -> Int32 {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    if stackSize > 0 {
      let page = Int(sysconf(Int32(_SC_PAGESIZE)))
      let least = Int(sysconf(Int32(_SC_THREAD_STACK_MIN)))
      let wanted = max(min(stackSize, Int.max &- page), least)
      pthread_attr_setstacksize(&attributes, (wanted &+ page &- 1) / page &* page)
    }
    let start = Unmanaged.passRetained(Start(name, body))
    var thread = pthread_t()
    let failure = pthread_create(
      &thread, &attributes,
      { context in
        guard let context else { return nil }
        let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
        wsgi_posix_set_name(start.name)
        start.body()
        return nil
      }, start.toOpaque())
    if failure != 0 { start.release() }
    return failure
  }
}

/// Milliseconds on a clock that nobody sets.
@inline(__always)
func monotonicMilliseconds() -> Int64 {
  var now = timespec()
  _ = clock_gettime(CLOCK_MONOTONIC, &now)
  return Int64(now.tv_sec) &* 1000 &+ Int64(now.tv_nsec) / 1_000_000
}

/// Microseconds since the epoch.
func epochMicroseconds() -> Int64 {
  var now = timespec()
  _ = clock_gettime(CLOCK_REALTIME, &now)
  return Int64(now.tv_sec) &* 1_000_000 &+ Int64(now.tv_nsec) / 1000
}

enum Seconds {
  /// Milliseconds as "1.5 s", for the log.
  static func text(_ milliseconds: Int64) -> String {
    let tenths = max(milliseconds, 0) / 100
    return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
  }
}
