/// Why a request was not answered as its application meant it to be; at most one for each request.
public enum RequestCause: Int, CaseIterable, Sendable {
  case applicationFailed
  case responseCut
  case clientGone
  case timedOut
  case workerEnded
  case queueTimeout
  case queueFull
  case overloaded
  case notServed
  case socketTimeout
  case requeuedTooOften
  case protocolViolation
  case badHead
  case stopping
  case system
  case refused

  /// As metrics have it.
  public var name: String { words.name }

  /// For people.
  public var sentence: String { words.sentence }

  private var words: (name: String, sentence: String) {
    switch self {
    case .applicationFailed: ("application_failed", "the application raised, or its script did not load")
    case .responseCut: ("response_cut", "a response was cut short")
    case .clientGone: ("client_gone", "the client went away")
    case .timedOut: ("request_timeout", "the application exceeded request-timeout")
    case .workerEnded: ("worker_died", "a process died while handling the request")
    case .queueTimeout: ("queue_timeout", "no process took the request within queue-timeout")
    case .queueFull: ("queue_full", "the queue was full")
    case .overloaded: ("overloaded", "the limit of requests in flight was reached")
    case .notServed: ("no_process", "no process was running")
    case .socketTimeout: ("socket_timeout", "a process sent nothing for socket-timeout")
    case .requeuedTooOften: ("requeued_too_often", "each process that took the request was being replaced")
    case .protocolViolation: ("protocol_error", "a process violated the protocol")
    case .badHead: ("bad_response_head", "the response headers were invalid")
    case .stopping: ("stopping", "httpd was being stopped")
    case .system: ("system_error", "the system was out of descriptors or memory")
    case .refused: ("refused", "the request could not be run; the log says why")
    }
  }
}
