import PythonRuntime
import Synchronization
import WSGIMeasurement

/// The request that a thread runs in an interpreter, for all but its `RequestRunner`: for threads that look at it from outside,
/// and for functions that Python calls. Kept between requests.
///
/// Sendable for the sake of `RunningRequests`: other threads read `ticket`, which is atomic, and what never changes.
class RunningRequest: LogOwner, @unchecked Sendable {
  unowned(unsafe) let attachment: Attachment
  /// For threads that look at it: the attachment, and so its interpreter's contents, last as long.
  private let keptAttachment: Attachment
  let threadOrdinal: Int
  /// The request's ticket while it runs, else 0; read by other threads.
  let ticket = Atomic<UInt64>(0)
  /// RequestTimeout has been raised in its thread. Attached use only.
  var isInterrupted = false
  /// Measures the request, while there is interest in that.
  let meter: RequestMeter
  /// The host of the current request; valid while it runs.
  unowned(unsafe) final var exchange: RequestExchange
  /// Stands in between requests; it has no state.
  nonisolated(unsafe) static let idle = RequestExchange()
  /// `mod_wsgi.request_id`, where there is one.
  final var requestID = KeptRef()
  /// request_data() of this request.
  final var requestData = KeptRef()

  init(_ adapter: Adapter, _ attachment: Attachment) {
    self.attachment = attachment
    keptAttachment = attachment
    threadOrdinal = adapter.python.thread.ordinal
    meter = RequestMeter(adapter.accounting, adapter.slowRequests, attachment, threadOrdinal: threadOrdinal)
    exchange = RunningRequest.idle
  }

  /// The request that the calling thread runs now.
  static var current: RunningRequest? {
    guard let object = Python.knownThread?.current else { return nil }
    return unsafeDowncast(object, to: RunningRequest.self)
  }

  /// Lets go of Python objects: the interpreter is about to end, and no thread is in it. Attached to it.
  func drop(_ gil: borrowing GILToken) {
    requestID.drop(gil)
    requestData.drop(gil)
  }

  /// No other thread interrupts the request from here on. An exception that came too late for it is taken back: the next request
  /// of this thread would meet it. Attached.
  @inline(__always)
  func endInterruptions(_ gil: borrowing GILToken) {
    ticket.store(0, ordering: .relaxed)
    if isInterrupted {
      isInterrupted = false
      Attachment.takeBackAsynchronous(gil, inThread: attachment.identity)
    }
  }

  /// The pacer's call: sends what has been gathered of the response for a while. False: nothing is. Another thread's.
  func sendGathered() -> Bool { false }
}

extension Attachment: GILWaits {
  public var allWaits: (time: UInt64, count: UInt64) { (waited.load(ordering: .relaxed), waits.load(ordering: .relaxed)) }
}

/// All runners of the process: as many as threads times interpreters, for looking at running requests from outside.
final class RunningRequests: Sendable {
  private let runners = Mutex<[RunningRequest]>([])

  func add(_ runner: RunningRequest) { runners.withLock { $0.append(runner) } }

  func remove(_ isGone: (RunningRequest) -> Bool) { runners.withLock { $0.removeAll(where: isGone) } }

  /// All runners, those without a request among them.
  var all: [RunningRequest] { runners.withLock { $0 } }

  /// The number of requests that run now.
  var count: Int { all.count { $0.ticket.load(ordering: .relaxed) != 0 } }

  /// The runners that run a request now, or the one that runs `ticket`.
  func running(_ ticket: UInt64 = 0) -> [RunningRequest] {
    runners.withLock { $0 }.filter { runner in
      let number = runner.ticket.load(ordering: .relaxed)
      return number != 0 && (ticket == 0 || number == ticket)
    }
  }
}
