/// How much may go into a log: so many lines and bytes at once, and so many a second after that.
public struct LogRate: Sendable, Equatable {
  /// A second.
  public var lines: Int64
  public var bytes: Int64
  /// At once.
  public var burstOfLines: Int64
  public var burstOfBytes: Int64

  public init(lines: Int64, bytes: Int64, burstOfLines: Int64, burstOfBytes: Int64) {
    self.lines = max(lines, 1)
    self.bytes = max(bytes, 1)
    self.burstOfLines = burstOfLines
    self.burstOfBytes = burstOfBytes
  }

  /// Of one request: what no application writes that means to be read.
  public static let request = LogRate(lines: 1000, bytes: 1 << 20, burstOfLines: 10_000, burstOfBytes: 8 << 20)
  /// Of all requests of a process group, or of all applications in one httpd process.
  public static let group = LogRate(lines: 10_000, bytes: 8 << 20, burstOfLines: 50_000, burstOfBytes: 32 << 20)
  /// Of what a daemon process writes outside of requests.
  public static let process = LogRate(lines: 500, bytes: 1 << 20, burstOfLines: 2000, burstOfBytes: 8 << 20)
  /// Of what all processes of a process group write so.
  public static let processes = LogRate(lines: 2000, bytes: 4 << 20, burstOfLines: 20_000, burstOfBytes: 32 << 20)

  /// "… 50000 lines or 32 MB at once, and 10000 lines or 8 MB a second after that"
  public var sentence: String {
    "\(burstOfLines) lines or \(burstOfBytes >> 20) MB at once, and \(lines) lines or \(bytes >> 20) MB a second after that"
  }

  private static let second: Int64 = 1_000_000_000

  /// When, in nanoseconds of the monotonic clock, what has been written so far would have been written at the rate; each of the
  /// two measures has its own. Nil: one more record of `bytes` would be too much.
  public func lineDue(after due: Int64, now: Int64) -> Int64? {
    LogRate.next(due, now, cost: LogRate.second / lines, burst: burstOfLines &* (LogRate.second / lines))
  }

  public func byteDue(_ count: Int64, after due: Int64, now: Int64) -> Int64? {
    let count = min(max(count, 0), 1 << 24)
    return LogRate.next(due, now, cost: count &* LogRate.second / bytes, burst: burstOfBytes &* 1000 / bytes &* 1_000_000)
  }

  @inline(__always)
  private static func next(_ due: Int64, _ now: Int64, cost: Int64, burst: Int64) -> Int64? {
    // No writer is ahead of the clock by more than the burst, even where others write to the memory.
    let start = due > now &+ burst ? now : max(due, now)
    let next = start &+ cost
    return next &- now <= burst ? next : nil
  }
}

/// Lines and bytes that did not go into a log.
public struct DroppedRecords: Equatable, Sendable {
  public var lines: Int64 = 0
  public var bytes: Int64 = 0
  public init(lines: Int64 = 0, bytes: Int64 = 0) {
    self.lines = lines
    self.bytes = bytes
  }
}

/// One writer's use of its rate. Times in nanoseconds of the monotonic clock.
public struct LogAllowance: Sendable {
  private let rate: LogRate
  private var lineDue: Int64 = 0
  private var byteDue: Int64 = 0
  private var dropped = DroppedRecords()

  public init(_ rate: LogRate) { self.rate = rate }

  /// Whether one more record may be written.
  public mutating func take(bytes: Int, now: Int64) -> Bool {
    guard let line = rate.lineDue(after: lineDue, now: now),
      let byte = rate.byteDue(Int64(bytes), after: byteDue, now: now)
    else {
      dropped.lines &+= 1
      dropped.bytes &+= Int64(bytes)
      return false
    }
    lineDue = line
    byteDue = byte
    return true
  }

  /// Records dropped since the last call, if any.
  public mutating func takeDropped() -> DroppedRecords? {
    guard dropped.lines > 0 else { return nil }
    defer { dropped = DroppedRecords() }
    return dropped
  }

  public var hasDropped: Bool { dropped.lines > 0 }
}
