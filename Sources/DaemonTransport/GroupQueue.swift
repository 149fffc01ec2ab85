import RequestCounting

/// The queue of a process group as httpd's children put requests into it, and the limits that its directive set.
public struct GroupQueue: Sendable {
  /// Where its requests are counted.
  public var row: RequestBook.Row
  /// The end that requests are put into; it stays the owner's.
  public var writeEnd: Int32
  /// Where a new write end is offered when a process has shut the queue down; -1: nowhere.
  public var renewal: Int32 = -1
  /// Where the group's processes note which request they took; nil: nowhere.
  public var owners: RequestOwners?
  /// Files of responses may come as descriptors. The sender can choose one so that to read from it, and even to close it, takes
  /// as long as he likes: it is for groups whose processes could do httpd's as much harm without.
  public var acceptsDescriptors = true
  /// The most requests in flight at a time: queue-limit.
  public var inFlightLimit = Int.max
  /// How often a request may be queued: 2 × processes + 1.
  public var attempts: UInt32 = 3
  /// All in milliseconds; 0: connect-timeout tries once, the others do not limit.
  public var connectTimeout: Int64 = 15_000
  public var queueTimeout: Int64 = 0
  public var socketTimeout: Int64 = 60_000
  /// response-flush-delay.
  public var flushDelay: Int64 = 5
  /// response-buffer-size: bytes towards the client after which they are flushed, come what may.
  public var flushSize = 8 << 20
  /// send-buffer-size and receive-buffer-size: how much of a response, and of a request body, may lie in a channel; 0: as much
  /// as the system gives.
  public var sendBuffer: Int32 = 0
  public var receiveBuffer: Int32 = 0

  public init(row: RequestBook.Row, writeEnd: Int32) {
    self.row = row
    self.writeEnd = writeEnd
  }
}
