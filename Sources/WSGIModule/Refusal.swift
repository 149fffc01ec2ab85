import CHTTPD

/// Why a request is not run: what the client gets and what the log says.
struct Refusal: Error {
  let status: Int32
  let level: LogLevel
  /// Begins with the message's number.
  let message: String

  init(_ status: Int32, _ message: String, level: LogLevel = .error) {
    self.status = status
    self.level = level
    self.message = message
  }

  /// The one place where a refused request is logged.
  func report(_ request: OpaquePointer, script: UnsafePointer<CChar>?) -> Int32 {
    log(level, request: request, script: script, message)
    return status
  }
}
