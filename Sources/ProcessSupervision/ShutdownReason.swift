/// Why a worker ends of its own accord; the first reason sticks.
public enum ShutdownReason: UInt32, CaseIterable, Sendable {
  case shutdownSignal = 1
  case gracefulSignal
  case evictionSignal
  case maximumRequests
  case requestTimeout
  case startupTimeout
  case restartInterval
  case deadlockTimeout
  case inactivityTimeout
  case cpuTimeLimit
  case scriptReload
  case signalPipeError
  case idleTimeout
  case memoryRecycle

  /// The `shutdown_reason` given to `process_stopping` subscribers.
  public var name: String {
    switch self {
    case .shutdownSignal: "shutdown_signal"
    case .gracefulSignal: "graceful_signal"
    case .evictionSignal: "eviction_signal"
    case .maximumRequests: "maximum_requests"
    case .requestTimeout: "request_timeout"
    case .startupTimeout: "startup_timeout"
    case .restartInterval: "restart_interval"
    case .deadlockTimeout: "deadlock_timeout"
    case .inactivityTimeout: "inactivity_timeout"
    case .cpuTimeLimit: "cpu_time_limit"
    case .scriptReload: "script_reload"
    case .signalPipeError: "signal_pipe_error"
    case .idleTimeout: "idle_timeout"
    case .memoryRecycle: "memory_recycle"
    }
  }
}
