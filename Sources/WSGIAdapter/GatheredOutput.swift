import Platform
import PythonRuntime
import WSGICore

/// Response bytes that wait for company, and the lock under which a request's host is used while they do: by the request's own
/// thread, or by the pacer.
struct GatheredOutput: ~Copyable {
  /// More than this is sent at once.
  static let limit = 32768

  /// The first block left without waiting: further ones may be gathered.
  var isAllowed = false
  let lock = RecursiveLock()
  var bytes = FlatWriter(capacity: 4096)
  /// What the pacer came upon.
  var failure: ExchangeFailure?
  /// The pacer may be using the host: every use of it takes the lock.
  var isShared = false
}
