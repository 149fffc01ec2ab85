import Glibc
import RequestCounting
import WSGICore

/// How a request that went to a daemon process ended.
public enum DaemonOutcome: Equatable, Sendable {
  /// The response is complete.
  case done
  /// Nothing was sent: the host answers with the failure's status.
  case failed(DaemonFailure)
  /// The response was begun and is not complete: the client must see it cut.
  case cut(DaemonFailure)
  /// The client went away while the response was sent to it.
  case clientGone
}

/// A failure between an httpd child and a process group.
public enum DaemonFailure: Error, Equatable, Sendable {
  /// So many requests of the group, or of others beside it, are in flight that one more would keep a thread of httpd that
  /// others need.
  case overloaded(Crowding)
  /// The queue had no room within connect-timeout.
  case queueFull
  /// No process of the group was there to take requests within connect-timeout.
  case notServed
  /// A command has stopped the group.
  case halted
  /// The queue's last reader is gone: httpd is being stopped.
  case queueClosed
  /// No channel, or no message, could be made.
  case system(errno: Int32)
  /// No process took the request within queue-timeout.
  case queueTimedOut
  /// Every process that took the request handed it back.
  case requeuedTooOften(attempts: UInt32)
  /// The process sent nothing for socket-timeout.
  case timedOut
  /// The process ended, or closed the channel. `pid` is 0 where it is not known which process had it.
  case workerEnded(pid: UInt32)
  /// The process sent what it must not send.
  case protocolViolation(FrameFailure)
  /// httpd refuses the response's head.
  case headRefused
  /// The process itself answers with an error status, and has logged why.
  case answered(status: Int32)
  /// The process itself cut the response, and has logged why.
  case aborted
}

extension DaemonFailure {
  /// The request may still lie in the queue.
  var isGivingUp: Bool {
    switch self {
    case .notServed, .halted, .queueTimedOut, .timedOut: true
    default: false
    }
  }

  /// The status to answer with when nothing was sent.
  public var status: Int32 { terms.status }

  /// The cause under which the group's figures count this failure. A worker reports 504 both for queue-timeout and for
  /// request-timeout; in a group with a queue-timeout it counts as that.
  public func cause(isQueueLimited: Bool) -> RequestCause {
    if case .answered(504) = self { return isQueueLimited ? .queueTimeout : .timedOut }
    return terms.cause
  }

  /// The line for the log; nil where why has been logged elsewhere. `end`: how the process ended that had the request.
  public func message(group: String, end: ProcessEnd?, isCut: Bool) -> String? {
    terms.message?(FailurePlace(group: group, end: end, isCut: isCut))
  }

  /// How a failure appears to the client, in the figures and in the log.
  private var terms: FailureTerms {
    switch self {
    case .overloaded: FailureTerms(503, .overloaded)
    case .queueFull:
      FailureTerms(503, .queueFull) {
        "WSGI0116: The queue of process group '\($0.group)' stayed full for connect-timeout. Add processes or threads."
      }
    case .notServed:
      FailureTerms(503, .notServed) {
        "WSGI0117: No process of group '\($0.group)' was running within connect-timeout; earlier log entries say why."
      }
    case .halted: FailureTerms(503, .refused)
    case .queueClosed:
      FailureTerms(503, .stopping) { "WSGI0354: Process group '\($0.group)' has ended: httpd is stopping or restarting." }
    case .system(let errno):
      FailureTerms(500, .system) {
        "WSGI0115: Unable to create a channel to process group '\($0.group)': \(String(cString: strerror(errno)))."
      }
    case .queueTimedOut:
      FailureTerms(504, .queueTimeout) {
        "WSGI0084: No process of group '\($0.group)' took the request within queue-timeout."
      }
    case .requeuedTooOften(let attempts):
      FailureTerms(503, .requeuedTooOften) {
        "WSGI0124: Maximum number of attempts exceeded for process group '\($0.group)': each of \(attempts) processes was "
          + "being replaced when it took the request."
      }
    case .timedOut:
      FailureTerms(504, .socketTimeout) { "WSGI0145: Timed out waiting for process group '\($0.group)' (socket-timeout)." }
    case .workerEnded(let pid): FailureTerms(502, .workerEnded) { $0.endMessage(pid) }
    case .protocolViolation(let failure):
      FailureTerms(502, .protocolViolation) { "WSGI0122: Protocol error: a process of group '\($0.group)' sent \(failure)." }
    case .headRefused: FailureTerms(500, .badHead)
    case .answered(let status): FailureTerms(status, .applicationFailed)
    case .aborted: FailureTerms(500, .responseCut)
    }
  }
}

private struct FailureTerms {
  let status: Int32
  let cause: RequestCause
  let message: ((FailurePlace) -> String)?

  init(_ status: Int32, _ cause: RequestCause, message: ((FailurePlace) -> String)? = nil) {
    self.status = status
    self.cause = cause
    self.message = message
  }
}

/// How a process of a group ended.
public struct ProcessEnd: Sendable {
  public var pid: UInt32
  /// To follow its name: "was killed by signal 9".
  public var sentence: String
  /// One of its requests, its script, or the GIL, was to be waited for no longer.
  public var isTimeout: Bool

  public init(pid: UInt32, sentence: String, isTimeout: Bool) {
    self.pid = pid
    self.sentence = sentence
    self.isTimeout = isTimeout
  }
}

/// The names in a log line about a failure.
private struct FailurePlace {
  let group: String
  let end: ProcessEnd?
  let isCut: Bool

  func endMessage(_ pid: UInt32) -> String {
    let pid = end?.pid ?? pid
    let process = pid == 0 ? "A daemon process of group '\(group)'" : "Daemon process \(pid) of group '\(group)'"
    let why = end.map { ": it \($0.sentence)" } ?? ""
    return isCut
      ? "WSGI0119: \(process) ended while sending the response\(why)." : "WSGI0146: \(process) ended before it responded\(why)."
  }
}
