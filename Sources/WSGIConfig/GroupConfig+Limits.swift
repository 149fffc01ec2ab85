import WSGICore

// Limits on a group's use of httpd.

extension GroupConfig {
  /// How many requests httpd may have in flight for the group: queue-limit, or where that is not given all but an eighth of its
  /// threads, which stays free for others.
  public func inFlightLimit(httpdThreads: Int) -> Int {
    queueLimit ?? max(1, httpdThreads &- max(1, httpdThreads / 8))
  }

  /// How many processes may hand a request back before it is given up: each of the group twice, and one more.
  public var attempts: Int { settings.processes &* 2 &+ 1 }
}
