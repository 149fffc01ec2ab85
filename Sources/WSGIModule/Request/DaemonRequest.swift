import CHTTPD
import DaemonTransport
import Glibc
import Platform
import RequestCounting
import WSGIConfig
import WSGICore

/// One request of an application that runs in a daemon process: what its client in this httpd child is offered.
struct DaemonRequest: RequestOrigin, ~Copyable {
  let request: OpaquePointer
  private let group: ChildGroup
  private(set) var response: ClientResponse
  private var body: SpooledBody
  private let script: UnsafePointer<CChar>
  private var records: RequestLog
  /// Why a response's head was refused for its size, as the end of a sentence.
  private var excess: String?
  private let account: RequestAccount

  init(
    _ request: OpaquePointer, of group: ChildGroup, seat: ChildSeat, script: UnsafePointer<CChar>,
    response: consuming ClientResponse,
    body: RequestBody, account: RequestAccount
  ) {
    self.request = request
    self.group = group
    self.script = script
    self.response = response
    self.account = account
    self.body = SpooledBody(request, of: group, seat: seat, length: body.length, isThere: body.isThere)
    records = RequestLog(request, script: script, group: group)
  }

  // MARK: the request's body

  mutating func receiveBody() -> Int64 {
    guard body.isToBeReceived else { return 0 }
    let start = Clock.monotonicMilliseconds()
    account.setReceiving(true, group)
    do throws(SpoolFailure) {
      try body.receive(patience: bodyTimeoutMilliseconds)
    } catch {
      switch error {
      case .unreadable: spoolFailed(error)
      case .system(let errno):
        note(
          .warning,
          "WSGI0744: Cannot keep the whole request body for process group '\(group.name)': \(String(cString: strerror(errno)))."
            + " The process is asked for the request before the rest has come. Make room in the directory for temporary files"
            + " (TMPDIR), or lower request-spool.")
      case .limit(let bound):
        report(bound, "A process is asked for a request before its whole body has come.")
      }
    }
    if body.wasAnswered { response.wasAnswered() }
    account.setReceiving(false, group)
    return Clock.monotonicMilliseconds() &- start
  }

  mutating func readBody(into buffer: UnsafeMutableRawBufferPointer) -> BodyRead {
    do throws(SpoolFailure) {
      let read = try body.read(into: buffer)
      if body.wasAnswered { response.wasAnswered() }
      return read
    } catch {
      spoolFailed(error)
      return .failed(.failed)
    }
  }

  var bodyDescriptor: Int32 { wsgi_httpd_client_socket(request) }
  var bodyTimeoutMilliseconds: Int64 { wsgi_httpd_server_timeout_milliseconds(wsgi_httpd_look_at(request).server) }

  // MARK: the response

  mutating func begin(_ head: UnsafeRawBufferPointer) -> Bool {
    // A head is at least as long in its encoding as in HTTP.
    if head.count > group.config.headerBufferSize ?? GroupConfig.headerLineSize, isTooLarge(head) { return false }
    return response.begin(head, script: script) == 0
  }

  private mutating func isTooLarge(_ head: UnsafeRawBufferPointer) -> Bool {
    guard let sizes = try? ResponseHead(decoding: head).headerSizes() else { return false }
    if let headerLimit = group.config.headerBufferSize {
      guard sizes.all > headerLimit else { return false }
      excess = "take \(sizes.all) bytes, and its header-buffer-size allows \(headerLimit)"
    } else {
      let most = GroupConfig.headerLineSize
      guard sizes.longest > most else { return false }
      excess = "have one of \(sizes.longest) bytes, and without header-buffer-size \(most) are allowed"
    }
    return true
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer) -> Bool { response.write(bytes, flush: false) == 0 }
  mutating func end(_ bytes: UnsafeRawBufferPointer) -> Bool { response.end(bytes) == 0 }
  mutating func flush() -> Bool { response.write(nothing, flush: true) == 0 }

  func isClientBehind() -> Bool { wsgi_httpd_client_is_behind(request) != 0 }
  var clientTimeoutMilliseconds: Int64 { wsgi_httpd_client_timeout(request) }
  mutating func clientTimedOut() { response.timedOut() }
  mutating func makeSpoolFile() -> Int32 { wsgi_httpd_temporary_file(request) }

  mutating func spoolFailed(_ failure: SpoolFailure) {
    switch failure {
    case .system(let errno):
      note(
        .warning,
        "WSGI0745: Cannot keep a response for a client that reads slowly: \(String(cString: strerror(errno))). A thread of"
          + " process group '\(group.name)' waits for the client. Make room in the directory for temporary files (TMPDIR), or"
          + " lower response-spool.")
    case .unreadable(let errno):
      note(
        .error,
        "WSGI0682: Cannot read what was kept of a request of process group '\(group.name)', or of its response:"
          + " \(String(cString: strerror(errno))). The request fails, or the response is cut. Check the file system of the"
          + " directory for temporary files (TMPDIR).")
    case .limit(let bound):
      report(bound, "A thread of the group waits for a client that reads slowly.")
    }
  }

  /// There is no more room for bodies and responses.
  private func report(_ bound: SpoolSpace.Bound, _ consequence: String) {
    guard let passedOver = group.refusals.takeSpool(now: Clock.monotonicMilliseconds()) else { return }
    var message =
      bound == .group
      ? "WSGI0680: Request bodies and responses of process group '\(group.name)' take all the room in files that its spool-limit"
        + " allows. \(consequence) Raise spool-limit, or lower request-spool or response-spool."
      : "WSGI0681: Request bodies and responses of all process groups take all the room in files that WSGISpoolLimit allows."
        + " \(consequence) This one is of group '\(group.name)'. Raise WSGISpoolLimit, or lower the groups' spool-limit."
    if passedOver > 0 { message += " This has happened \(passedOver) more times since it was last logged." }
    note(.warning, message)
  }

  mutating func sendFile(_ file: consuming Descriptor, offset: Int64, length: Int64) -> Bool {
    response.sendFile(descriptor: file.number, offset: offset, length: length) == 0
  }

  mutating func log(level: LogLevel, file: UnsafeRawBufferPointer, line: UInt32, text: UnsafeRawBufferPointer) {
    let request = request
    records.write(level: level, text, file: file.isEmpty ? nil : poolCopy(file, wsgi_httpd_request_pool(request)), line: line)
  }

  // MARK: the group

  func isServed() -> Bool { group.isServed }
  func isStarting() -> Bool { group.isStarting }
  func isHalted() -> Bool { group.isHalted }

  mutating func requeued(attempt: UInt32) {
    note(.info, "Queueing the request again, attempt #\(attempt): the daemon process that took it is being replaced.")
  }

  func sessionMoves() {
    note(
      .info,
      "The process of the request's session has not taken it, or has ended; any process of group '\(group.name)' may take it.")
  }

  // MARK: the end

  /// When a client may ask again that was refused for want of room, in seconds.
  static let retryAfter = "1"

  /// Ends the response as the client says that the request ended; what the handler tells httpd.
  mutating func conclude(_ outcome: DaemonOutcome) -> Int32 {
    switch outcome {
    case .done: _ = response.end(nothing)
    case .clientGone:
      if response.hasTimedOut {
        note(
          .info,
          "WSGI0118: The client read none of the response within response-socket-timeout (or socket-timeout) of process "
            + "group '\(group.name)'; response aborted.")
      }
    case .failed(let failure):
      let end = end(failure)
      report(failure, end, isCut: false)
      if case .awaitingHead = response.phase {
        if case .overloaded = failure { wsgi_httpd_spare_thread(request) }
        if failure.status == 503 {
          let pool = wsgi_httpd_request_pool(request)
          wsgi_httpd_add_error_header(request, poolCopy("Retry-After", pool), poolCopy(DaemonRequest.retryAfter, pool))
        }
        return end?.isTimeout == true ? 504 : failure.status
      }
    case .cut(let failure):
      report(failure, end(failure), isCut: true)
    }
    if case .sending = response.phase { response.cut() }
    return response.hookResult
  }

  /// How the process ended that had the request, where that is what went wrong.
  private func end(_ failure: DaemonFailure) -> ProcessEnd? {
    if case .workerEnded(let pid) = failure { group.end(of: pid) } else { nil }
  }

  private func report(_ failure: DaemonFailure, _ end: ProcessEnd?, isCut: Bool) {
    if let excess {
      note(
        .error,
        "WSGI0144: The response headers of an application of process group '\(group.name)' \(excess). Raise the "
          + "limit, or send fewer headers.")
    } else if case .overloaded(let crowding) = failure {
      report(crowding)
    } else if let message = failure.message(group: group.name, end: end, isCut: isCut) {
      note(.error, message)
    }
  }

  private func note(_ level: LogLevel, _ message: String) { WSGIModule.log(level, request: request, script: script, message) }

  private func report(_ crowding: Crowding) {
    guard let passedOver = group.refusals.take(crowding, now: Clock.monotonicMilliseconds()) else { return }
    var message: String
    switch crowding {
    case .queueLimit:
      let facts = wsgi_httpd_get_facts()
      message =
        "WSGI0353: Process group '\(group.name)' is at its limit: \(group.row.inFlightNow) requests in flight, queue-limit"
        + " \(group.queue?.inFlightLimit ?? 0) (MaxRequestWorkers: \(Int(facts.maximum_processes) &* Int(facts.maximum_threads)))"
        + "; answered 503. Add processes or threads, or raise queue-limit."
    case .givenUp:
      message =
        "WSGI0671: The queue of process group '\(group.name)' is full of abandoned requests, and no process reads it; answered"
        + " 503. Check whether its processes are stopped (SIGSTOP) or hang."
    case .threads(let holder):
      message =
        "WSGI0670: \(holder.sentence(group.name)), the rest is reserved for other requests; answered 503. Raise"
        + " ThreadsPerChild and MaxRequestWorkers for more."
    }
    if passedOver > 0 { message += " \(passedOver) more requests were refused for this reason since it was last logged." }
    note(.error, message)
  }
}

extension ThreadShares.Holder {
  /// Who has as many threads as may be, as a sentence.
  fileprivate func sentence(_ group: String) -> String {
    switch self {
    case .group: "Process group '\(group)' uses up its share of httpd's threads"
    case .user: "The process groups of the user of '\(group)' use up their share of httpd's threads"
    case .allGroups: "All process groups together, including '\(group)', use up their share of httpd's threads"
    }
  }
}
