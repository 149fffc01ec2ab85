/// Where a daemon process is in its life. The numbers stand in shared memory, where a supervisor's successor reads them.
public enum WorkerState: UInt32, CaseIterable, Sendable {
  case starting = 1
  case ready
  /// It loads a changed script and waits for `begin`.
  case candidate
  /// It takes no more requests.
  case draining
  /// It was told to stop.
  case stopping

  /// As the status page, JSON and metrics have it.
  public var name: String {
    switch self {
    case .starting: "starting"
    case .ready: "ready"
    case .candidate: "candidate"
    case .draining: "draining"
    case .stopping: "stopping"
    }
  }
}
