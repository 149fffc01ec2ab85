import DaemonTransport

/// The process groups as httpd's children reach them. Made in the parent with the generation, before any child; read on all
/// threads of the children.
///
/// Groups are named by their place in `Configuration.groups`.
protocol DaemonGroups: AnyObject, Sendable {
  /// nil: the group could not be started, and the log has said why.
  func endpoint(of group: Int) -> DaemonEndpoint?
  /// Whether the group has a process that takes requests.
  func isServed(_ group: Int) -> Bool
  /// Whether that is only because its first one starts.
  func isStarting(_ group: Int) -> Bool
  /// How a process of the group has just ended; nil where that is not known (yet). Without a `pid` (0) the process is the one of
  /// which the group was bereft this moment.
  func end(of pid: UInt32, in group: Int) -> ProcessEnd?
  /// Counts the requests in flight; nil where there are no groups.
  var ledger: QueueLedger? { get }
  /// Says which refusals are logged.
  var refusals: RefusalPace { get }
  /// Counts what requests write to the log; nil where there is no memory for it.
  var logShares: LogShares? { get }
}
