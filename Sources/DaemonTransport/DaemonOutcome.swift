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

/// What went wrong between an httpd child and a process group.
public enum DaemonFailure: Error, Equatable, Sendable {
  /// So many requests of the group, or of others beside it, are in flight that one more would keep a thread of httpd that
  /// others need.
  case overloaded(Crowding)
  /// The queue had no room within connect-timeout.
  case queueFull
  /// No process of the group was there to take requests within connect-timeout.
  case notServed
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
    case .notServed, .queueTimedOut, .timedOut: true
    default: false
    }
  }

  /// The status to answer with when nothing was sent.
  public var status: Int32 {
    switch self {
    case .overloaded, .queueFull, .notServed, .queueClosed, .requeuedTooOften: 503
    case .system, .headRefused, .aborted: 500
    case .queueTimedOut, .timedOut: 504
    case .workerEnded, .protocolViolation: 502
    case .answered(let status): status
    }
  }
}
