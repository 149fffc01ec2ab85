import Glibc
import PythonRuntime
import Synchronization
import WSGICore
import WSGIMeasurement

/// How a request is to be run; the raw values are `WSGI_RUN_*` of engine.h.
public struct RunFlags: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static let rejectsStale = RunFlags(rawValue: 1)
  public static let newCode = RunFlags(rawValue: 2)
}

/// How a request ended; `engine.h` explains.
public struct RequestOutcome: Sendable {
  public enum End: Int32, Sendable { case done = 0, failed, aborted, stale }
  public var end: End = .done
  public var status: Int32 = 200
  public var scriptLoaded = false
  /// Of `stale`: the script's time (`ScriptTime`).
  public var scriptModified: Int64 = 0
  /// How the script's import failed, if it did; 0: it did not.
  public var scriptFailure: UInt32 = 0
  /// Of `stale`: its interpreter has been retired, and it is to be run in the one that bears the name now.
  var isForAnotherInterpreter = false
  public var interrupted = false
  public var bodyIn: UInt64 = 0
  public var bodyOut: UInt64 = 0
  public init() {}
}

/// Why response bytes could not be sent.
enum WriteFailure: Error {
  case notStarted
  case exchange(ExchangeFailure)
}

/// One request at a time, on one thread in one interpreter. Kept between requests with what can be used again: the objects
/// that applications are given are reused unless an application kept a reference to one.
final class RequestRunner: RunningRequest, @unchecked Sendable {
  unowned(unsafe) let contents: InterpreterContents
  unowned(unsafe) let adapter: Adapter

  var isActive = false
  /// A thread is in a call of the host without the GIL.
  var isHostBusy = false
  /// Counts requests, so that who waited for the host sees whether its request is still there.
  var requestNumber: UInt64 = 0
  /// A start_response call was accepted.
  var isStarted = false
  /// The response head is on its way and can no longer change.
  var isCommitted = false
  var hasEnded = false
  var clientFailure: ExchangeFailure?
  var status: UInt32 = 0
  var head = ResponseHeadWriter()
  var body = FlatWriter(capacity: 16384)
  var gathered = GatheredOutput()
  /// The first block left without waiting: further ones may be gathered.
  var mayGather = false
  var bytesSent: Int64 = 0
  var offered: UInt64 = 0
  var writes: UInt64 = 0
  var inputReads: UInt64 = 0
  var inputLength: UInt64 = 0
  var contentLength: Int64 = -1
  var isHead = false
  /// The request's pairs, and those that the engine adds to them; valid while it runs.
  var pairs = FlatReader(UnsafeRawBufferPointer(start: nil, count: 0))
  var pairCount: UInt32 = 0
  let ownPairs = UnsafeMutableBufferPointer<EnvironPairs.Pair>.allocate(capacity: 3)
  /// When this process took the request up (microseconds since the epoch); in embedded mode only while it is measured.
  private(set) var takenUp: Int64 = 0
  /// request_started has been published, and what it led to is to be.
  private(set) var isPublished = false
  /// What a subscriber to request_started wants called in place of the application.
  var substitute = KeptRef()
  /// Counts calls of auth, access and dispatch functions.
  var callNumber: UInt64 = 0

  var startResponse = KeptRef()
  var startResponseBehaviour: StartResponse?
  var input = KeptRef()
  var inputStream: InputStream?
  var errors = KeptRef()
  var errorsRaw = KeptRef()
  var errorsStream: LogStream?

  init(_ contents: InterpreterContents, _ attachment: Attachment) {
    self.contents = contents
    adapter = contents.adapter
    super.init(contents.adapter, attachment)
    ownPairs.initialize(repeating: (RequestRunner.bytes("mod_wsgi.process_group"), nil))
    ownPairs[1].key = RequestRunner.bytes("mod_wsgi.application_group")
    ownPairs[2].key = RequestRunner.bytes("mod_wsgi.callable_object")
  }

  deinit { ownPairs.deallocate() }

  var startResponseObject: PyObj { startResponse.orNone }

  /// How much of the announced body has not been read; nil where its length is not known.
  var remainingInput: Int? {
    guard contentLength >= 0 else { return nil }
    return Int(clamping: max(0, contentLength &- Int64(clamping: inputLength)))
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
    takenUp = adapter.settings.isDaemon || !interest.isEmpty ? Clock.epoch() : 0
    if !interest.isEmpty { meter.begin(request, start: takenUp, ticket: number, interest: interest) }
    var outcome = RequestOutcome()
    var sendsBody = false
    attachment.run {
      outcome = execute(request, flags, sendsBody: &sendsBody)
      endIfForked()
      if meter.isOn { meter.applicationFinished() }
      if isPublished { publishFinished(request, outcome) }
      finish()
    }
    stopGathering()
    ticket.store(0, ordering: .relaxed)
    thread.current = outer
    if sendsBody {
      // The usual case: the whole response in one piece, sent after the GIL has gone to the next thread.
      let begun = meter.isOn ? Clock.monotonic() : 0
      let result = exchange.send(head: head.finish(), body: body.bytes, flags: .end)
      if result == ExchangeFailure.badHead.rawValue { outcome = failure(500) }
      writes &+= 1
      if meter.isOn { meter.wrote(since: begun, bytes: offered, writes: writes) }
    }
    if meter.isOn { account(for: request, outcome) } else if outcome.end != .stale { meter.account.countEnded() }
    outcome.bodyIn = inputLength
    outcome.bodyOut = offered
    self.exchange = RequestRunner.idle
    return outcome
  }

  /// Makes ready for a request.
  func begin(_ request: RequestHead, _ exchange: RequestExchange) {
    self.exchange = exchange
    requestNumber &+= 1
    isActive = true
    isPublished = false
    isStarted = false
    isCommitted = false
    hasEnded = false
    clientFailure = nil
    status = 0
    bytesSent = 0
    offered = 0
    writes = 0
    inputReads = 0
    inputLength = 0
    contentLength = request.contentLength
    isHead = request.flags.contains(.isHead)
    body.reset()
    mayGather = false
    pairs = request.environ
    pairCount = request.pairCount
    ownPairs[0].value = request.processGroup
    ownPairs[1].value = request.applicationGroup
    ownPairs[2].value = request.callable
  }

  func failure(_ status: Int32) -> RequestOutcome {
    var outcome = RequestOutcome()
    outcome.end = isCommitted ? .aborted : .failed
    outcome.status = status
    return outcome
  }

  private func execute(_ request: RequestHead, _ flags: RunFlags, sendsBody: inout Bool) -> RequestOutcome {
    do {
      if meter.isOn { meter.identify { value(of: $0) } }
      let loader = ScriptLoader(contents: contents, attachment: attachment)
      let script = try loader.script(
        ScriptLoader.Request(
          path: request.script, modified: request.scriptModified, isReloading: request.flags.contains(.scriptReloading),
          rejectsStale: flags.contains(.rejectsStale), hasNewCode: flags.contains(.newCode),
          resource: { self.value(of: "SCRIPT_FILENAME") }, exchange: exchange))
      guard let application = try callable(request.callable, in: script) else {
        contents.adapter.logHere(
          .error,
          "WSGI0089: Target WSGI script '\(String(decoding: request.script, as: UTF8.self))' does not contain WSGI "
            + "application '\(String(decoding: request.callable, as: UTF8.self))'." + contents.substitute(in: script))
        var outcome = failure(404)
        outcome.scriptLoaded = true
        return outcome
      }
      var outcome = try call(application, request, sendsBody: &sendsBody)
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
      contents.adapter.logHere(.error, "WSGI0502: The request that the server sent cannot be read: \(error).")
      return failure(500)
    }
  }

  static func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
  }

  /// A value of the request's environ, as the host gave it.
  func value(of key: StaticString) -> UnsafeRawBufferPointer? {
    let wanted = RequestRunner.bytes(key)
    var reader = pairs
    var found: UnsafeRawBufferPointer?
    for _ in 0..<pairCount {
      guard let pair = try? reader.readPair() else { break }
      if pair.key.count == wanted.count, pair.key.elementsEqual(wanted) { found = pair.value }
    }
    return found
  }

  private func callable(_ name: UnsafeRawBufferPointer, in script: LoadedScript) throws(Raised) -> PyRef? {
    let name = try PyRef.utf8(name)
    if let found = try script.namespace.item(name.object) { return found.retained() }
    return try script.module.orNone.attributeIfPresent(name.object)
  }

  // MARK: the application

  private func call(_ application: borrowing PyRef, _ request: RequestHead, sendsBody: inout Bool) throws -> RequestOutcome {
    let environ = try makeEnviron(request)
    let started = Clock.epoch()
    exchange.started(started)
    try environ.object.setItem(contents.names.applicationStart, try PyRef.float(Double(started) / 1e6))
    let data = try PyRef.dict()
    requestData.set(data.object.retained())
    if let id = try environ.object.item(contents.names.requestID) {
      requestID.set(id.retained())
      try contents.activeRequests.setItem(id, data)
    }
    var callable = application.object
    if contents.hasEventSubscribers {
      adapter.accounting.add(.events)
      if !meter.isOn { meter.begin(request, start: started, ticket: ticket.load(ordering: .relaxed), interest: .events) }
      isPublished = true
      if let wanted = publishStarted(request, application.object, environ.object, started) {
        substitute.set(wanted)
        callable = substitute.orNone
      }
    }
    if meter.isOn { meter.applicationStarts(started) }
    let result = try callable.call(environ.object, startResponse.orNone)
    endIfForked()
    let object = result.object
    if object.isExactList || object.isExactTuple {
      return try answer(sequence: object, sendsBody: &sendsBody)
    }
    defer { close(object) }
    if !isCommitted, isStarted, try object.isInstance(of: contents.fileWrapper), let sent = try answer(file: object) {
      return sent
    }
    return try answer(iterable: object)
  }

  // MARK: as a running request

  override func log(_ level: LogLevel, _ text: UnsafeRawBufferPointer, file: String?, line: Int) {
    // A slow client must not keep whoever logs, and the GIL with it: the process's log is better than none.
    if isHostBusy || Python.isForkedChild { return adapter.host.log(level, text, file: file, line: line) }
    let isShared = gathered.isShared
    if isShared { gathered.lock.lock() }
    exchange.log(level, text, file: file, line: line)
    if isShared { gathered.lock.unlock() }
  }

  /// Sends what has waited, unless the request's thread is at it.
  override func sendGathered() {
    guard gathered.lock.tryLock() else { return }
    if gathered.isShared { _ = sendAllGathered([.flush, .tryOnly]) }
    gathered.lock.unlock()
  }
}
