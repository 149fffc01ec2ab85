/// The process that is measured, for what its figures alone do not say. The thread that reports asks, and any other may.
public protocol MeasuredProcess: AnyObject, Sendable {
  /// "in embedded mode", or of which daemon process.
  var place: String { get }
  /// "3.11.2"
  var pythonVersion: String { get }
  /// The meters of all threads, idle ones among them.
  var meters: [RequestMeter] { get }
  /// The number of requests that run now.
  var activeRequests: Int { get }
  /// All interpreters by name, with the log of their garbage collector.
  var collectors: [(interpreter: [UInt8], log: CollectorLog?)] { get }
  /// The numbers of the first interpreters' collectors, at most `limit`, and Python's switch interval. Waits for the GIL.
  func inspectCollectors(limit: Int) -> (snapshots: [CollectorSnapshot], switchInterval: Double?)
  /// The Python stacks of the threads that run a request, as lines. False: the GIL could not be acquired within
  /// `milliseconds`, and the lines are what could be read without it.
  func stacks(_ ticket: UInt64, milliseconds: UInt32) -> ([String], Bool)
  func warn(_ sentence: String)
  func inform(_ sentence: String)
}
