import Glibc
import Platform
import RequestCounting
import WSGICore

/// The log records of an application for one request. It logs how many were dropped, at the end of the request at the latest.
struct RequestLog: ~Copyable {
  private let request: OpaquePointer
  private let script: UnsafePointer<CChar>
  /// The process group; nil: the applications in this httpd process.
  private let group: ChildGroup?
  /// Of a request that has written; most never do.
  private var writing: Writing?

  private struct Writing {
    let share: LogShare
    let prefix: UnsafePointer<CChar>?
    var allowance = LogAllowance(.request)
    var told: Int64 = 0
  }

  init(_ request: OpaquePointer, script: UnsafePointer<CChar>, group: ChildGroup?) {
    self.request = request
    self.script = script
    self.group = group
  }

  deinit {
    if var writing { RequestLog.end(&writing, request, script, group) }
  }

  @inline(never)
  private static func end(
    _ writing: inout Writing, _ request: OpaquePointer, _ script: UnsafePointer<CChar>, _ group: ChildGroup?
  ) {
    if let dropped = writing.allowance.takeDropped() { tell(dropped, request, script) }
    guard let dropped = writing.share.takeDropped(now: Int64(clamping: Clock.monotonicNanoseconds())) else { return }
    let owner = group.map { "the requests of process group '\($0.name)'" } ?? "embedded applications"
    log(
      .warning, request: request, script: nil,
      "WSGI0643: Dropped \(dropped.lines) log lines (\(dropped.bytes) bytes) of \(owner): together they may write "
        + "\(LogRate.group.sentence).")
  }

  /// Writes one record. `level` and all else is what the application, or its process, says.
  mutating func write(
    level: LogLevel, _ text: UnsafeRawBufferPointer, file: @autoclosure () -> UnsafePointer<CChar>?, line: UInt32
  ) {
    guard level <= LogLevel(of: request) else { return }
    var writing = self.writing ?? begin()
    defer { self.writing = writing }
    let now = Int64(clamping: Clock.monotonicNanoseconds())
    guard writing.allowance.take(bytes: text.count, now: now), writing.share.take(bytes: text.count, now: now) else {
      return
    }
    if writing.allowance.hasDropped, now &- writing.told >= 1_000_000_000, let dropped = writing.allowance.takeDropped() {
      writing.told = now
      RequestLog.tell(dropped, request, script)
    }
    logRequest(level, request, prefix: writing.prefix, text, file: file(), line: line)
  }

  private func begin() -> Writing {
    Writing(share: group?.row.logShare ?? HostTable.logShare, prefix: scriptPrefix(script, request))
  }

  private static func tell(_ dropped: DroppedRecords, _ request: OpaquePointer, _ script: UnsafePointer<CChar>) {
    log(
      .warning, request: request, script: script,
      "WSGI0642: Dropped \(dropped.lines) log lines (\(dropped.bytes) bytes) of this request: a request may write "
        + "\(LogRate.request.sentence).")
  }
}
