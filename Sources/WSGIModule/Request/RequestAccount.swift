import CHTTPD
import DaemonTransport
import CEngine
import Glibc
import Platform
import RequestCounting
import WSGIConfig
import WSGICore

/// One request on its way into the book, where its process group's are counted.
struct RequestAccount {
  private let request: OpaquePointer
  private let seat: ChildSeat?
  private let started: Int64
  private let isEmbedded: Bool
  private let ticket: ChildSeat.Ticket?
  /// Why the request is not answered as its application meant it to be.
  var cause: RequestCause?
  /// Nothing was sent: the client went before it got a status.
  var hasNoStatus = false

  /// `group`: nil: embedded. `showsPath`: the status page may show the request's path.
  init(_ request: OpaquePointer, _ view: wsgi_httpd_view, group: ChildGroup?, showsPath: Bool, _ generation: Generation) {
    self.request = request
    seat = HTTPDChild.current?.seat
    started = view.time
    isEmbedded = group == nil
    if let seat, let row = group?.row ?? generation.embeddedRow {
      // Without the query string: what is secret in a URL usually stands there.
      let label = RequestLabel(method: view.method, path: showsPath ? view.uri : nil)
      ticket = seat.begin(row, key: UInt(bitPattern: request), started: started, label)
    } else {
      ticket = nil
    }
  }

  /// httpd receives the request's body before it asks a process of `group`; then it has done so.
  func setReceiving(_ isReceiving: Bool, _ group: ChildGroup) {
    if let seat, let ticket { seat.setReceiving(ticket, group.row, until: isReceiving ? nil : Clock.epochMicroseconds()) }
  }

  /// The handler tells httpd `result`.
  func end(_ result: Int32) {
    guard let seat, let ticket else { return }
    var status = result >= 100 ? result : wsgi_httpd_status(request)
    if hasNoStatus, result == HookResult.ok { status = 0 }
    let now = Clock.epochMicroseconds()
    seat.end(ticket, status: status, cause: cause, microseconds: max(0, now &- started), now: now, isEmbedded: isEmbedded)
  }

  // MARK: causes

  /// An application of a daemon process.
  mutating func note(_ outcome: DaemonOutcome, _ response: borrowing ClientResponse, _ group: ChildGroup) {
    noteAbsence(response)
    switch outcome {
    case .done: cause = response.wasCut ? .responseCut : nil
    case .clientGone: cause = .clientGone
    case .failed(let failure), .cut(let failure): cause = failure.cause(isQueueLimited: group.config.settings.queueTimeout > 0)
    }
  }

  /// An application of this process.
  mutating func note(_ outcome: wsgi_outcome, _ response: borrowing ClientResponse) {
    noteAbsence(response)
    if wsgi_httpd_is_aborted(request) != 0 {
      cause = .clientGone
    } else if outcome.interrupted != 0 {
      cause = .timedOut
    } else if outcome.end == RequestEnd.failed.rawValue {
      cause = .applicationFailed
    } else if response.wasCut {
      cause = .responseCut
    }
  }

  private mutating func noteAbsence(_ response: borrowing ClientResponse) {
    guard wsgi_httpd_is_aborted(request) != 0, case .awaitingHead = response.phase else { return }
    hasNoStatus = true
  }
}
