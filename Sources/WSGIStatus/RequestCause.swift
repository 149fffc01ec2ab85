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
  public var name: String {
    switch self {
    case .applicationFailed: "application_failed"
    case .responseCut: "response_cut"
    case .clientGone: "client_gone"
    case .timedOut: "request_timeout"
    case .workerEnded: "worker_died"
    case .queueTimeout: "queue_timeout"
    case .queueFull: "queue_full"
    case .overloaded: "overloaded"
    case .notServed: "no_process"
    case .socketTimeout: "socket_timeout"
    case .requeuedTooOften: "requeued_too_often"
    case .protocolViolation: "protocol_error"
    case .badHead: "bad_response_head"
    case .stopping: "stopping"
    case .system: "system_error"
    case .refused: "refused"
    }
  }

  /// For people.
  public var sentence: String {
    switch self {
    case .applicationFailed: "the application raised, or its script did not load"
    case .responseCut: "a response was cut short"
    case .clientGone: "the client went away"
    case .timedOut: "the application exceeded its time"
    case .workerEnded: "a process died with the request"
    case .queueTimeout: "no process took the request within queue-timeout"
    case .queueFull: "the queue was full"
    case .overloaded: "as many requests were in flight as may be"
    case .notServed: "no process was running"
    case .socketTimeout: "a process sent nothing for socket-timeout"
    case .requeuedTooOften: "processes in turn were being replaced"
    case .protocolViolation: "a process sent what it must not"
    case .badHead: "the response's head could not be sent"
    case .stopping: "httpd was being stopped"
    case .system: "the system had no descriptors or memory"
    case .refused: "the request could not be run; the log says why"
    }
  }
}
