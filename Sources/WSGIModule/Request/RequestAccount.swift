import CHTTPD
import DaemonTransport
import CEngine
import Glibc
import WSGIConfig
import WSGICore
import WSGIStatus

/// One request on its way into the tally of its process group.
struct RequestAccount {
  private let request: OpaquePointer
  private let seat: TallySeat?
  private let started: Int64
  private let isEmbedded: Bool
  private let ticket: TallySeat.Ticket?
  /// Why the request is not answered as its application meant it to be.
  var cause: RequestCause?
  /// Nothing was sent: the client went before it got a status.
  var hasNoStatus = false

  /// `group` as `Configuration.groups` numbers them; nil: embedded.
  init(_ request: OpaquePointer, at requestTime: Int64, group: Int?, _ generation: Generation) {
    self.request = request
    seat = Child.current?.tallySeat
    started = requestTime
    isEmbedded = group == nil
    let number = group ?? generation.configuration.groups.count
    ticket = seat?.begin(number, key: UInt(bitPattern: request), started: started)
  }

  /// The handler tells httpd `result`.
  func end(_ result: Int32) {
    guard let seat, let ticket else { return }
    var status = result >= 100 ? result : wsgi_httpd_status(request)
    if hasNoStatus, result == HookResult.ok { status = 0 }
    let now = epochNow()
    seat.end(
      ticket, status: status, cause: cause, microseconds: max(0, now &- started), now: now, isEmbedded: isEmbedded)
  }

  // MARK: causes

  /// An application of a daemon process.
  mutating func note(_ outcome: DaemonOutcome, _ response: borrowing ClientResponse, _ group: DaemonEndpoint) {
    noteAbsence(response)
    switch outcome {
    case .done: cause = response.wasCut ? .responseCut : nil
    case .clientGone: cause = .clientGone
    case .failed(let failure), .cut(let failure): cause = failure.cause(isQueueLimited: group.queueTimeout > 0)
    }
  }

  /// An application of this process.
  mutating func note(_ outcome: wsgi_outcome, _ response: borrowing ClientResponse) {
    noteAbsence(response)
    if wsgi_httpd_is_aborted(request) != 0 {
      cause = .clientGone
    } else if outcome.interrupted != 0 {
      cause = .timedOut
    } else if outcome.end == WSGI_FAILED {
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

/// Microseconds since the epoch.
@inline(__always)
func epochNow() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Int64(time.tv_sec) &* 1_000_000 &+ Int64(time.tv_nsec) / 1000
}
