import CHTTPD
import WSGIConfig
import WSGICore

extension Refusal {
  /// The one place where a refused request is logged.
  func report(_ request: OpaquePointer, script: UnsafePointer<CChar>?) -> Int32 {
    log(isRoutine ? .info : .error, request: request, script: script, message)
    return status
  }
}
