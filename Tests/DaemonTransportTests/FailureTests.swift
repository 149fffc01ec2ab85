import RequestCounting
import Testing
import WSGICore

@testable import DaemonTransport

/// What a failed request is to the client, to the figures, and in the log.
@Suite struct FailureTests {
  @Test(
    arguments: [
      (DaemonFailure.queueFull, 503, RequestCause.queueFull, "WSGI0116"), (.notServed, 503, .notServed, "WSGI0117"),
      (.queueClosed, 503, .stopping, "WSGI0354"), (.system(errno: 24), 500, .system, "WSGI0115"),
      (.queueTimedOut, 504, .queueTimeout, "WSGI0084"), (.requeuedTooOften(attempts: 5), 503, .requeuedTooOften, "WSGI0124"),
      (.timedOut, 504, .socketTimeout, "WSGI0145"), (.workerEnded(pid: 0), 502, .workerEnded, "WSGI0146"),
      (.protocolViolation(.outOfTurn(.taken)), 502, .protocolViolation, "WSGI0122"),
      (.overloaded(.queueLimit), 503, .overloaded, nil), (.headRefused, 500, .badHead, nil), (.aborted, 500, .responseCut, nil),
      (.answered(status: 500), 500, .applicationFailed, nil), (.answered(status: 504), 504, .timedOut, nil),
    ] as [(DaemonFailure, Int32, RequestCause, String?)])
  func eachHasItsTerms(failure: DaemonFailure, status: Int32, cause: RequestCause, number: String?) {
    #expect(failure.status == status && failure.cause(isQueueLimited: false) == cause)
    let line = failure.message(group: "shop", end: nil, isCut: false)
    #expect(line?.prefix(8) == number.map { $0[...] })
    #expect(line.map { $0.contains("'shop'") && $0.hasSuffix(".") } ?? true)
  }

  @Test func aGroupWithAQueueTimeoutIsTakenToMeanIt() {
    #expect(DaemonFailure.answered(status: 504).cause(isQueueLimited: true) == .queueTimeout)
    #expect(DaemonFailure.timedOut.cause(isQueueLimited: true) == .socketTimeout)
  }

  @Test func theLineTellsHowTheProcessEnded() {
    let end = ProcessEnd(pid: 7, sentence: "was killed by signal 9", isTimeout: false)
    let failure = DaemonFailure.workerEnded(pid: 0)
    #expect(
      failure.message(group: "shop", end: end, isCut: true)
        == "WSGI0119: Daemon process 7 of group 'shop' ended while sending the response: it was killed by signal 9.")
    #expect(
      failure.message(group: "shop", end: nil, isCut: false)
        == "WSGI0146: A daemon process of group 'shop' ended before it responded.")
  }
}
