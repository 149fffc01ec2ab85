import DaemonTransport
import Glibc
import RequestCounting
import WSGICore

/// Buffers that a thread of httpd keeps between requests, so that an ordinary request allocates nothing to be encoded or sent.
///
/// They are lent to one request at a time: a server-side include runs one request within another, and the inner one
/// then has its own.
final class ThreadState {
  private var spareWriter: RequestHeadWriter?
  private var spareForwarder: RequestForwarder?

  /// How many requests the thread is running in an engine: one within another counts.
  private var depth = 0

  /// Whether the calling thread is in an engine, perhaps with the GIL in its hands.
  static var isInEngine: Bool { (existing?.depth ?? 0) > 0 }

  /// Marks the thread as being in an engine while `body` runs.
  static func inEngine<R>(_ body: () -> R) -> R {
    let state = ThreadState.current
    state?.depth += 1
    defer { state?.depth -= 1 }
    return body()
  }

  /// Lends the thread's head writer.
  static func withHeadWriter<R, E: Error>(_ body: (inout RequestHeadWriter) throws(E) -> R) throws(E) -> R {
    let state = ThreadState.current
    var writer = state?.spareWriter.take() ?? RequestHeadWriter()
    let result = try body(&writer)
    state?.spareWriter = consume writer
    return result
  }

  /// Lends the thread's client of the daemon processes.
  static func withForwarder<R>(seat: ChildSeat, _ body: (inout RequestForwarder) -> R) -> R {
    let state = ThreadState.current
    var forwarder = state?.spareForwarder.take() ?? RequestForwarder(seat: seat)
    let result = body(&forwarder)
    state?.spareForwarder = consume forwarder
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

  private static var existing: ThreadState? {
    key.flatMap { pthread_getspecific($0) }.map { Unmanaged<ThreadState>.fromOpaque($0).takeUnretainedValue() }
  }

  private static var current: ThreadState? {
    if let existing { return existing }
    guard let key else { return nil }
    let made = Unmanaged.passRetained(ThreadState())
    guard pthread_setspecific(key, made.toOpaque()) == 0 else {
      made.release()
      return nil
    }
    return made.takeUnretainedValue()
  }
}
