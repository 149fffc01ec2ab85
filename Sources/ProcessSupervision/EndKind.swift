/// Why a process ended, as far as ends are counted.
public enum EndKind: Equatable, Sendable {
  /// Of its own accord and in good order.
  case reason(ShutdownReason)
  /// By a signal that nobody of ours had sent, or with an exit code of its own.
  case killed, exited
  /// Before it took requests.
  case startFailed
  /// Its supervisor killed it: it had not ended in time.
  case overdue
  /// No supervisor was there to see it.
  case unknown

  /// All kinds, in the order in which the board counts them.
  static let all: [EndKind] =
    ShutdownReason.allCases.map { .reason($0) } + [.killed, .exited, .startFailed, .overdue, .unknown]

  init(_ end: EndRecord) {
    if end.flags.contains(.overdue) {
      self = .overdue
    } else if end.isNormal, let reason = end.reason {
      self = .reason(reason)
    } else {
      switch end.cause {
      case .unknown: self = .unknown
      case .killed: self = .killed
      case .exited: self = end.flags.contains(.wasReady) ? .exited : .startFailed
      }
    }
  }

  /// As metrics have it.
  public var name: String {
    switch self {
    case .reason(let reason): reason.name
    case .killed: "crash_signal"
    case .exited: "crash_exit"
    case .startFailed: "start_failure"
    case .overdue: "overdue"
    case .unknown: "unknown"
    }
  }
}
