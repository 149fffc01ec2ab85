import Platform
import PythonRuntime
import Synchronization
import WSGICore
import WSGIMeasurement

/// How a request ended; `engine.h` explains.
public struct RequestOutcome: Sendable {
  public var end = RequestEnd.done
  public var status: Int32 = 200
  public var scriptLoaded = false
  /// Of `stale`: the script's time (`ScriptTime`).
  public var scriptModified: Int64 = 0
  /// How the script's import failed, if it did; 0: it did not.
  public var scriptFailure: UInt32 = 0
  /// Of `stale`: its interpreter has been retired, and it is to be run in the one that bears the name now.
  var isForAnotherInterpreter = false
  public var interrupted = false

  public init(_ end: RequestEnd = .done, status: Int32 = 200) {
    self.end = end
    self.status = status
  }
}

/// Why response bytes could not be sent.
enum WriteFailure: Error {
  case notStarted
  case exchange(ExchangeFailure)
}

/// Response bytes that wait for company, and the lock under which a request's host is used while they do: by the request's own
/// thread, or by the pacer.
struct GatheredOutput: ~Copyable {
  /// More than this is sent at once.
  static let limit = 131_072

  /// The first block left without waiting: further ones may be gathered.
  var isAllowed = false
  let lock = RecursiveLock()
  var bytes = FlatWriter(capacity: 4096)
  /// The failure that the pacer met.
  var failure: ExchangeFailure?
  /// The pacer may be using the host: every use of it takes the lock.
  var isShared = false
  /// They waited when the pacer last came by.
  var isDue = false
  /// They are the last of the response, which is complete with them.
  var isLast = false
}

/// Runs one request at a time, on one thread in one interpreter. Kept between requests with what can be used again: the objects
/// given to applications are reused unless an application kept a reference to one.
final class RequestRunner: RunningRequest, @unchecked Sendable {
  unowned(unsafe) let contents: InterpreterContents
  unowned(unsafe) let adapter: Adapter

  var stage = ResponseStage.idle
  /// A thread is in a call of the host without the GIL.
  var isHostBusy = false
  /// Counts requests, so that a thread that waited for the host sees whether its request is still there.
  var requestNumber: UInt64 = 0
  var status: UInt32 = 0
  var head = ResponseHeadWriter()
  var body = FlatWriter(capacity: 16384)
  var gathered = GatheredOutput()
  var bytesSent: Int64 = 0
  /// Counts of what the application has read and sent so far.
  var traffic = RequestTraffic()
  var contentLength: Int64 = -1
  var isHead = false
  var pairs = RequestPairs()
  /// When this process took the request up (microseconds since the epoch); in embedded mode only while it is measured.
  private(set) var takenUp: Int64 = 0
  /// request_started has been published, and so the other events are.
  private(set) var isPublished = false
  /// A callable that a request_started subscriber set in place of the application.
  var substitute = KeptRef()
  /// Counts calls of auth, access and dispatch functions.
  var callNumber: UInt64 = 0

  var objects = RequestObjects()

  init(_ contents: InterpreterContents, _ attachment: Attachment) {
    self.contents = contents
    adapter = contents.adapter
    super.init(contents.adapter, attachment)
  }

  @inline(__always) var isActive: Bool { stage.isActive }
  @inline(__always) var isStarted: Bool { stage.isStarted }
  @inline(__always) var isCommitted: Bool { stage.isCommitted }

  /// The length of the announced body that has not been read; nil where it is not known.
  var remainingInput: Int? {
    guard contentLength >= 0 else { return nil }
    return Int(clamping: max(0, contentLength &- Int64(clamping: traffic.inputBytes)))
  }

  // MARK: a request

  /// Runs the application for `head`. Not attached.
  func run(_ request: RequestHead, _ exchange: RequestExchange, ticket number: UInt64, flags: RunFlags) -> RequestOutcome {
    begin(request, exchange)
    let thread = adapter.python.thread
    let outer = thread.current
    thread.current = self
    ticket.store(number, ordering: .relaxed)
    let interest = adapter.accounting.interest
    takenUp = adapter.settings.isDaemon || !interest.isEmpty ? Clock.epochMicroseconds() : 0
    if !interest.isEmpty { meter.begin(request, start: takenUp, ticket: number, interest: interest) }
    var outcome = RequestOutcome()
    var sendsBody = false
    attachment.runInTurn { gil in
      outcome = execute(request, flags, sendsBody: &sendsBody, gil)
      endIfForked()
      if meter.isOn { meter.applicationFinished() }
      if isPublished { publishFinished(request, outcome) }
      finish(gil)
      endInterruptions(gil)
    }
    stopGathering()
    thread.current = outer
    if sendsBody {
      // The usual case: the whole response in one piece, sent after the GIL has gone to the next thread.
      let begun = meter.isOn ? Clock.monotonicNanoseconds() : 0
      let result = exchange.send(head: head.finish(), body: body.bytes, flags: .end)
      if result == ExchangeFailure.badHead.rawValue { outcome = failure(500) }
      traffic.outputWrites &+= 1
      if meter.isOn { meter.wrote(since: begun, traffic) }
    }
    if meter.isOn { account(for: request, outcome) } else if outcome.end != .stale { meter.account.countEnded() }
    self.exchange = RequestRunner.idle
    return outcome
  }

  override func drop(_ gil: borrowing GILToken) {
    super.drop(gil)
    substitute.drop(gil)
    objects.drop(gil)
  }

  /// Makes ready for a request.
  func begin(_ request: RequestHead, _ exchange: RequestExchange) {
    self.exchange = exchange
    requestNumber &+= 1
    stage = .called
    isPublished = false
    status = 0
    bytesSent = 0
    traffic = RequestTraffic()
    contentLength = request.contentLength
    isHead = request.flags.contains(.isHead)
    body.reset()
    gathered.isAllowed = false
    pairs.begin(request)
  }

  func failure(_ status: Int32) -> RequestOutcome { RequestOutcome(isCommitted ? .aborted : .failed, status: status) }

  private func execute(
    _ request: RequestHead, _ flags: RunFlags, sendsBody: inout Bool, _ gil: borrowing GILToken
  ) -> RequestOutcome {
    do {
      if meter.isOn { meter.identify { value(of: $0) } }
      let wanted = ScriptLoader.Request(
        path: request.script, modified: request.scriptModified, isReloading: request.flags.contains(.scriptReloading),
        rejectsStale: flags.contains(.rejectsStale), hasNewCode: flags.contains(.newCode),
        replacesInterpreter: request.flags.contains(.replacesInterpreter),
        resource: { self.value(of: "SCRIPT_FILENAME") }, exchange: exchange)
      let script = try ScriptLoader(contents: contents, attachment: attachment).script(wanted, gil)
      guard let application = try callable(request.callable, in: script) else {
        contents.adapter.logHere(
          .error,
          "WSGI0089: Target WSGI script '\(String(decoding: request.script, as: UTF8.self))' does not contain WSGI "
            + "application '\(String(decoding: request.callable, as: UTF8.self))'." + contents.substitute(in: script))
        var outcome = failure(404)
        outcome.scriptLoaded = true
        return outcome
      }
      var outcome = try call(application, request, sendsBody: &sendsBody, gil)
      outcome.scriptLoaded = true
      return outcome
    } catch let error as ScriptFailure {
      var outcome = failure(500)
      switch error {
      case .stale(let modified, let failure):
        outcome.end = .stale
        outcome.scriptModified = modified
        outcome.scriptFailure = failure
      case .retired:
        outcome.end = .stale
        outcome.isForAnotherInterpreter = true
      case .stillLoading: outcome.status = 503
      case .forbidden: outcome.status = 403
      case .notLoaded(let failure): outcome.scriptFailure = failure
      }
      return outcome
    } catch is Raised {
      return handleException(request)
    } catch {
      contents.adapter.logHere(.error, "WSGI0502: Cannot decode the request from the server: \(error).")
      return failure(500)
    }
  }

  /// A value of the request's environ, as the host gave it.
  func value(of key: StaticString) -> UnsafeRawBufferPointer? { pairs.value(of: key) }

  private func callable(_ name: UnsafeRawBufferPointer, in script: LoadedScript) throws(Raised) -> PyRef? {
    let name = try PyRef.utf8(name)
    if let found = try script.namespace.item(name.object) { return found.retained() }
    return try script.module.object.attributeIfPresent(name.object)
  }

  // MARK: the application

  private func call(
    _ application: borrowing PyRef, _ request: RequestHead, sendsBody: inout Bool, _ gil: borrowing GILToken
  ) throws -> RequestOutcome {
    let environ = try makeEnviron(request, gil)
    let started = Clock.epochMicroseconds()
    exchange.started(started)
    try environ.object.setItem(contents.names.applicationStart, try PyRef.float(Double(started) / 1e6))
    let data = try PyRef.dict()
    requestData.set(data.object.retained(), gil)
    if let id = try environ.object.item(contents.names.requestID) {
      requestID.set(id.retained(), gil)
      try contents.activeRequests.setItem(id, data)
    }
    var callable = application.object
    if contents.hasEventSubscribers {
      adapter.accounting.add(.events)
      if !meter.isOn { meter.begin(request, start: started, ticket: ticket.load(ordering: .relaxed), interest: .events) }
      isPublished = true
      if let wanted = publishStarted(request, application.object, environ.object, started) {
        substitute.set(wanted, gil)
        callable = substitute.orNone
      }
    }
    if meter.isOn { meter.applicationStarts(started) }
    let result = try callable.call(environ.object, objects.startResponse.orNone)
    endIfForked()
    let object = result.object
    if object.isExactList || object.isExactTuple {
      return try answer(sequence: object, sendsBody: &sendsBody, gil)
    }
    defer { close(object) }
    if !isCommitted, isStarted, try object.isInstance(of: contents.fileWrapper), let sent = try answer(file: object, gil) {
      return sent
    }
    return try answer(iterable: object, gil)
  }

  // MARK: as a running request

  override func log(_ level: LogLevel, _ text: UnsafeRawBufferPointer, file: String?, line: Int) {
    // A slow client must not hold up the thread that logs, and the GIL with it: the process's log is better than none.
    if isHostBusy || Python.isForkedChild { return adapter.host.log(level, text, file: file, line: line) }
    let isShared = gathered.isShared
    if isShared { gathered.lock.lock() }
    exchange.log(level, text, file: file, line: line)
    if isShared { gathered.lock.unlock() }
  }

  /// Sends what has waited since the last call or longer, unless the request's thread is at it. False: nothing waits.
  override func sendGathered() -> Bool {
    guard gathered.lock.tryLock() else { return true }
    defer { gathered.lock.unlock() }
    if gathered.isShared, gathered.isDue { _ = sendAllGathered([.flush, .tryOnly]) }
    gathered.isDue = gathered.isShared && gathered.bytes.count > 0
    return gathered.isDue
  }
}
