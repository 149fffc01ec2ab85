import Glibc

/// Threads are not joined: those that others wait for say themselves when they are done.
public enum DetachedThread {
  private final class Work {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  /// Starts a thread. The result is 0, or an errno value.
  ///
  /// - named: what `top -H` shows, up to 15 bytes.
  /// - stackSize: in bytes; 0 for the system's default.
  /// - takesSignals: false in a server whose signals are for its own threads.
  public static func start(
    named name: String? = nil, stackSize: Int = 0, takesSignals: Bool = false, _ body: @escaping @Sendable () -> Void
  ) -> Int32 {
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
    // A thread begins with its creator's signal mask.
    var blocked = sigset_t()
    var before = sigset_t()
    if !takesSignals { sigfillset(&blocked) }
    pthread_sigmask(SIG_BLOCK, &blocked, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let work = Unmanaged.passRetained(
      Work {
        if let name { pthread_setname_np(pthread_self(), name) }
        body()
      })
    var thread = pthread_t()
    let failure = pthread_create(
      &thread, &attributes,
      { context in
        guard let context else { return nil }
        Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
        return nil
      }, work.toOpaque())
    if failure != 0 { work.release() }
    return failure
  }
}
