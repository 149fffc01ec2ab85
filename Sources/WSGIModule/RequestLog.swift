import CHTTPD
import DaemonTransport
import Glibc
import WSGIConfig
import WSGICore

/// What an application writes to the log of one request. It tells, at the end at the latest, what was too much to be written.
struct RequestLog: ~Copyable {
  private let request: OpaquePointer
  private let script: UnsafePointer<CChar>
  /// The process group; nil: the applications in this httpd process.
  private let group: Int?
  private let share: LogShare?
  private var prefix: UnsafePointer<CChar>?
  private var allowance = LogAllowance(.request)
  private var hasWritten = false
  private var told: Int64 = 0

  init(_ request: OpaquePointer, script: UnsafePointer<CChar>, group: Int?, share: LogShare?) {
    self.request = request
    self.script = script
    self.group = group
    self.share = share
  }

  deinit {
    guard hasWritten else { return }
    var allowance = allowance
    if let dropped = allowance.takeDropped() { RequestLog.tell(dropped, request, script) }
    guard let dropped = share?.takeDropped(now: LogClock.now()) else { return }
    let owner = group.map { "the requests of process group '\(RequestLog.name(of: $0))'" } ?? "embedded applications"
    log(
      .warning, request: request, script: nil,
      "WSGI0643: \(dropped.lines) lines (\(dropped.bytes) bytes) of \(owner) are missing in the log: together they may write "
        + "\(LogRate.group.sentence).")
  }

  /// Writes one record. `level` and all else is what the application, or its process, says.
  mutating func write(
    level: Int32, _ text: UnsafeRawBufferPointer, file: @autoclosure () -> UnsafePointer<CChar>?, line: UInt32
  ) {
    guard level <= wsgi_httpd_request_log_level(request) else { return }
    hasWritten = true
    let now = LogClock.now()
    guard allowance.take(bytes: text.count, now: now), share?.take(bytes: text.count, now: now) ?? true else { return }
    if allowance.hasDropped, now &- told >= LogClock.second, let dropped = allowance.takeDropped() {
      told = now
      RequestLog.tell(dropped, request, script)
    }
    if prefix == nil { prefix = scriptPrefix(script, request) }
    // An application is no authority on emergencies.
    logRequest(max(level, LogLevel.alert.rawValue), request, prefix: prefix, text, file: file(), line: line)
  }

  private static func tell(_ dropped: DroppedRecords, _ request: OpaquePointer, _ script: UnsafePointer<CChar>) {
    log(
      .warning, request: request, script: script,
      "WSGI0642: \(dropped.lines) lines (\(dropped.bytes) bytes) of this request are missing here: a request may write "
        + "\(LogRate.request.sentence).")
  }

  private static func name(of group: Int) -> String {
    let groups = Generation.current?.configuration.groups ?? []
    return groups.indices.contains(group) ? groups[group].name.description : "?"
  }
}

/// The clock of the log's rates.
enum LogClock {
  static let second: Int64 = 1_000_000_000

  static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) &* second &+ Int64(time.tv_nsec)
  }
}
