import Glibc
import WSGICore

/// What a thread of httpd keeps between requests, so that an ordinary request allocates nothing to be written down.
final class ThreadState {
  /// nil while a request of this thread is using it: a server-side include runs one request within another.
  private var spare: RequestHeadWriter?

  /// Lends the thread's head writer.
  static func withHeadWriter<R>(_ body: (inout RequestHeadWriter) -> R) -> R {
    let state = ThreadState.current
    var writer = state?.spare.take() ?? RequestHeadWriter()
    let result = body(&writer)
    state?.spare = consume writer
    return result
  }

  private static let key: pthread_key_t? = {
    var key = pthread_key_t()
    let made = pthread_key_create(&key) { state in
      guard let state else { return }
      Unmanaged<ThreadState>.fromOpaque(state).release()
    }
    return made == 0 ? key : nil
  }()

  private static var current: ThreadState? {
    guard let key else { return nil }
    if let kept = pthread_getspecific(key) { return Unmanaged<ThreadState>.fromOpaque(kept).takeUnretainedValue() }
    let made = Unmanaged.passRetained(ThreadState())
    guard pthread_setspecific(key, made.toOpaque()) == 0 else {
      made.release()
      return nil
    }
    return made.takeUnretainedValue()
  }
}
