import Synchronization
import WSGICore

/// A request that took, or has taken so far, longer than WSGISlowRequests allows.
public struct SlowRequest: Sendable {
  /// When this process took it up, in microseconds since the epoch.
  let start: Int64
  /// Its `mod_wsgi.thread_id`.
  let thread: Int
  let ticket: UInt64
  let identity: RequestIdentity
  /// Phases and counts, as far as they are known.
  let totals: RequestTotals
  /// The number of requests that ran when it began, itself among them.
  let activeAtStart: Int
  var activeAtCompletion = 0
  var isRunning = true
  /// Microseconds.
  var duration: Int64 = 0
  /// 0 while it runs.
  var status: Int32 = 0
  var processor = ProcessorTime()
}

extension SlowRequest {
  /// "GET /path of host 'name'": never with its query string.
  var name: String {
    let path = identity.path
    return "\(identity[.method].text) \(path.isEmpty ? "/" : path) of host '\(identity[.hostname].text)'"
  }

  /// ", request id …", where it has one. In its own log httpd shows it as well; a daemon's request may be gone by then.
  var suffix: String {
    let id = identity[.logID].text
    return id.isEmpty ? "" : ", request id \(id)"
  }

  /// Where the time of a request that has ended went, for its log.
  public func summary(threshold: Int64) -> String {
    func seconds(_ phase: RequestPhase) -> String { SlowRequest.text(Int64(clamping: totals[phase] / 1000)) }
    var parts: [String] = []
    if totals[.queue] >= 1_000_000 { parts.append("queued \(seconds(.queue)) s") }
    parts.append("application \(seconds(.application)) s")
    parts.append("CPU \(SlowRequest.text(Int64(clamping: processor.total / 1000))) s")
    if totals[.gilWait] >= 1_000_000 { parts.append("waiting for the GIL \(seconds(.gilWait)) s") }
    if totals[.inputRead] >= 1_000_000 { parts.append("reading its body \(seconds(.inputRead)) s") }
    if totals[.outputWrite] >= 1_000_000 { parts.append("sending \(seconds(.outputWrite)) s") }
    return "Slow request: \(name) took \(SlowRequest.text(duration)) s (WSGISlowRequests \(SlowRequest.text(threshold))), "
      + "status \(status): \(parts.joined(separator: ", "))\(suffix)."
  }

  /// Microseconds as seconds, to the millisecond.
  static func text(_ microseconds: Int64) -> String {
    let milliseconds = max(0, microseconds) / 1000
    let fraction = String(milliseconds % 1000 + 1000).dropFirst()
    return "\(milliseconds / 1000).\(fraction)"
  }
}

/// The slow requests of one process that have ended and wait to be reported.
public final class SlowRequests: Sendable {
  private struct Ring {
    var records: [SlowRequest] = []
    var oldest = 0
  }

  /// Microseconds.
  public let threshold: Int64
  let capturesUserAgent: Bool
  private let capacity: Int
  private let ring = Mutex(Ring())

  /// - capacity: the number that may wait; 0 without a telemetry service, which takes them.
  init(threshold: Int64, capturesUserAgent: Bool, capacity: Int) {
    self.threshold = threshold
    self.capturesUserAgent = capturesUserAgent
    self.capacity = capacity
  }

  /// Nil where no request counts as slow (WSGISlowRequests).
  public convenience init?(_ settings: EngineSettings) {
    let seconds = settings.slowRequests
    guard seconds > 0, seconds < 1e9 else { return nil }
    self.init(
      threshold: Int64(seconds * 1e6), capturesUserAgent: settings.telemetryOptions.contains(.captureUserAgent),
      capacity: settings.telemetryTarget == nil
        ? 0 : SlowRequests.capacity(threads: settings.threads, interval: settings.telemetryInterval, threshold: seconds))
  }

  /// The number that may wait: enough for every thread to end several between two ticks.
  static func capacity(threads: Int, interval: Double, threshold: Double) -> Int {
    let perInterval = threshold > 0 ? min((interval / threshold).rounded(.up), 4096) : 1
    let wanted = min(Double(max(threads, 1)) * perInterval * 5, 4096)
    return min(max(32, Int(wanted)), 4096)
  }

  /// Keeps a record, in place of the oldest where all places are taken.
  public func add(_ record: SlowRequest) {
    guard capacity > 0 else { return }
    ring.withLock { ring in
      guard ring.records.count == capacity else { return ring.records.append(record) }
      ring.records[ring.oldest] = record
      ring.oldest = (ring.oldest + 1) % capacity
    }
  }

  /// Takes all records out, oldest first.
  func drain() -> [SlowRequest] {
    ring.withLock { ring in
      let records = Array(ring.records[ring.oldest...] + ring.records[..<ring.oldest])
      ring = Ring()
      return records
    }
  }
}
