/// Settings of the reports.
public struct TelemetrySettings {
  /// The path of the service's socket; nil where there is none.
  public var target: String?
  /// Seconds between two reports.
  public var interval: Double {
    didSet { interval = TelemetrySettings.bounded(interval) }
  }
  public var processGroup = ""
  public var apacheVersion = ""
  public var mpm = ""
  public var pythonVersion = ""
  /// Python's switch interval when the process starts, in seconds.
  public var switchInterval: Double?

  public init(interval: Double = 1) { self.interval = TelemetrySettings.bounded(interval) }

  private static func bounded(_ interval: Double) -> Double { interval > 0.5 ? min(interval, 86400) : 0.5 }
}

/// The process that is measured, for what its figures alone do not say. Called by the thread that reports; what needs the GIL
/// says so.
public struct MeasuredProcess: @unchecked Sendable {  // whoever makes it gives functions that any thread may call
  /// "in embedded mode", or of which daemon process.
  public var place: String
  public var warn: (String) -> Void
  public var inform: (String) -> Void
  /// The meters of all threads, idle ones among them.
  public var meters: () -> [RequestMeter]
  /// How many requests run now.
  public var activeRequests: () -> Int
  /// The Python stacks of the threads that run a request, as lines, within so many milliseconds; false: the GIL was not to be
  /// had in time, and the lines are what could be read without it.
  public var stacks: (_ ticket: UInt64, _ milliseconds: UInt32) -> ([String], Bool)
  /// All interpreters by name, with the log of their garbage collector.
  public var collectors: () -> [(interpreter: [UInt8], log: CollectorLog?)]
  /// Asks the collectors of the first interpreters, as many as `limit`, for their numbers, and Python for its switch interval.
  /// Waits for the GIL.
  public var inspectCollectors: (_ limit: Int) -> (snapshots: [CollectorSnapshot], switchInterval: Double?)

  public init(
    place: String, warn: @escaping (String) -> Void, inform: @escaping (String) -> Void,
    meters: @escaping () -> [RequestMeter], activeRequests: @escaping () -> Int,
    stacks: @escaping (UInt64, UInt32) -> ([String], Bool),
    collectors: @escaping () -> [(interpreter: [UInt8], log: CollectorLog?)],
    inspectCollectors: @escaping (Int) -> (snapshots: [CollectorSnapshot], switchInterval: Double?)
  ) {
    self.place = place
    self.warn = warn
    self.inform = inform
    self.meters = meters
    self.activeRequests = activeRequests
    self.stacks = stacks
    self.collectors = collectors
    self.inspectCollectors = inspectCollectors
  }
}
