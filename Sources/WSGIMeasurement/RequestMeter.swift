import Platform
import Synchronization
import WSGICore

/// One thread's waits for the GIL.
public protocol GILWaits: AnyObject {
  /// Whether its waits are timed. Set by the thread itself.
  var timesWaits: Bool { get set }
  /// How long (nanoseconds) and how often the thread has waited while that was timed. Any thread.
  var allWaits: (time: UInt64, count: UInt64) { get }
}

extension GILWaits {
  /// The waits since earlier ones.
  fileprivate func waits(since time: UInt64, _ count: UInt64) -> (time: UInt64, count: UInt64) {
    let now = allWaits
    return (now.time &- time, now.count &- count)
  }
}

/// Measures the requests that one thread runs in one interpreter, while there is interest in them. Between requests, and
/// without interest, it is off.
///
/// Everything is called on that thread but `running`, which shows other threads the request that runs.
public final class RequestMeter: @unchecked Sendable {  // what other threads read is in `live`
  /// The numbers of the request that runs, for other threads.
  private enum Live {
    /// Microseconds since the epoch; 0 while no request runs.
    static let start = 0
    static let requestStart = 1
    static let queueStart = 2
    static let applicationStart = 3
    static let activeAtStart = 4
    static let traffic = 5
    static let inputTime = 9
    static let outputTime = 10
    static let gilBase = 11
    static let gilCountBase = 12
    static let ticket = 13
    static let identity = 14
  }

  private unowned(unsafe) let accounting: Accounting
  private let gil: any GILWaits
  public let account: ThreadAccount
  private let live: WatchedWords
  private let slowRequests: SlowRequests?

  /// A request is being measured.
  public private(set) var isOn = false
  private var interest: Accounting.Interest = []
  private var isOutermost = false
  private(set) var start: Int64 = 0
  public private(set) var applicationStart: Int64 = 0
  public private(set) var applicationFinish: Int64 = 0
  private var applicationProcessor: ProcessorTime?
  /// Of the application, up to its end; nil where the kernel does not say.
  public private(set) var processor: ProcessorTime?
  /// Nanoseconds.
  public private(set) var inputTime: UInt64 = 0
  public private(set) var outputTime: UInt64 = 0
  private var gilBase: UInt64 = 0
  private var gilCountBase: UInt64 = 0

  /// - accounting: of the process; it lasts as long.
  public init(_ accounting: Accounting, _ slowRequests: SlowRequests?, _ gil: any GILWaits, threadOrdinal: Int) {
    self.accounting = accounting
    self.slowRequests = slowRequests
    self.gil = gil
    account = accounting.account(forThread: threadOrdinal)
    live = WatchedWords(count: Live.identity + (slowRequests == nil ? 0 : RequestIdentity.wordCount))
  }

  deinit { live.deallocate() }

  /// How long the request has waited for the GIL (nanoseconds), and how often.
  public var gilWait: (time: UInt64, count: UInt64) { gil.waits(since: gilBase, gilCountBase) }

  // MARK: a request

  /// A request begins, or turns out to be of interest. `start`: when this process took it up.
  public func begin(_ request: RequestHead, start: Int64, ticket: UInt64, interest: Accounting.Interest) {
    isOn = true
    self.interest = interest
    self.start = start
    applicationStart = 0
    applicationFinish = 0
    applicationProcessor = nil
    processor = nil
    inputTime = 0
    outputTime = 0
    gil.timesWaits = true
    (gilBase, gilCountBase) = gil.allWaits
    isOutermost = account.begin(start)
    guard slowRequests != nil else { return }
    let active = accounting.active.add(1, ordering: .relaxed).newValue
    live.update {
      for index in 0..<Live.identity { live[index] = 0 }
      live[Live.start] = UInt64(clamping: start)
      live[Live.requestStart] = UInt64(clamping: request.requestStart)
      live[Live.queueStart] = UInt64(clamping: request.queueStart)
      live[Live.activeAtStart] = UInt64(clamping: active)
      live[Live.gilBase] = gilBase
      live[Live.gilCountBase] = gilCountBase
      live[Live.ticket] = ticket
      live[Live.identity] = 0
    }
  }

  /// Notes who the request is, for observers; `value` gives its environ.
  public func identify(_ value: (StaticString) -> UnsafeRawBufferPointer?) {
    guard let slowRequests else { return }
    live.update { RequestIdentity.write(to: live, at: Live.identity, agent: slowRequests.capturesUserAgent, value) }
  }

  public func applicationStarts(_ time: Int64) {
    applicationStart = time
    applicationProcessor = .thread()
    if slowRequests != nil { live[Live.applicationStart] = UInt64(clamping: time) }
  }

  public func applicationFinished() {
    applicationFinish = Clock.epochMicroseconds()
    if applicationStart == 0 { applicationStart = applicationFinish }
    if let before = applicationProcessor { processor = ProcessorTime.thread()?.since(before) }
  }

  /// Some of the body has been read; `before` was the time before that.
  public func read(since before: UInt64, _ traffic: RequestTraffic) {
    inputTime &+= Clock.monotonicNanoseconds() &- before
    if slowRequests != nil { show(traffic) }
  }

  /// Some of the response has been passed on; `before` was the time before that.
  public func wrote(since before: UInt64, _ traffic: RequestTraffic) {
    outputTime &+= Clock.monotonicNanoseconds() &- before
    if slowRequests != nil { show(traffic) }
  }

  private func show(_ traffic: RequestTraffic) {
    for index in 0..<4 { live[Live.traffic + index] = traffic.counts[index] }
    live[Live.inputTime] = inputTime
    live[Live.outputTime] = outputTime
  }

  /// The request has ended, with this status. Gives a record of it where it was slow.
  public func end(_ request: RequestHead, status: Int32, traffic: RequestTraffic) -> SlowRequest? {
    isOn = false
    gil.timesWaits = false
    if applicationFinish == 0 { applicationFinished() }
    let end = Clock.epochMicroseconds()
    let totals = makeTotals(request, status: status, traffic: traffic, end: end)
    account.end(interest.contains(.recording) ? totals : nil, isOutermost: isOutermost, period: accounting.period)
    guard let slowRequests else { return nil }
    let active = accounting.active.subtract(1, ordering: .relaxed).oldValue
    defer { live.update { live[Live.start] = 0 } }
    guard end &- start >= slowRequests.threshold else { return nil }
    var record = makeRecord(live.snapshot(), totals)
    record.isRunning = false
    record.duration = max(0, end &- start)
    record.status = status
    record.activeAtCompletion = max(active, 0)
    record.processor = processor ?? ProcessorTime()
    return record
  }

  /// The request was not for this process, and is not counted.
  public func abandon() {
    isOn = false
    gil.timesWaits = false
    account.abandon(isOutermost: isOutermost)
    guard slowRequests != nil else { return }
    accounting.active.subtract(1, ordering: .relaxed)
    live.update { live[Live.start] = 0 }
  }

  private func makeTotals(_ request: RequestHead, status: Int32, traffic: RequestTraffic, end: Int64) -> RequestTotals {
    var totals = RequestTotals()
    totals.setStages(
      requestStart: request.requestStart, queueStart: request.queueStart, isDaemon: accounting.isDaemon, start: start,
      applicationStart: applicationStart, applicationFinish: applicationFinish)
    totals.status = status
    (totals[.gilWait], totals.gilWaits) = gilWait
    totals[.inputRead] = inputTime
    totals[.outputWrite] = outputTime
    totals.busy = UInt64(clamping: end &- start) &* 1000
    totals.processor = processor?.total ?? 0
    totals.traffic = traffic
    return totals
  }

  // MARK: from outside

  /// The request that runs now, if it has run for as long as `threshold` (microseconds). Any thread.
  func running(longerThan threshold: Int64, now: Int64) -> SlowRequest? {
    let started = live[Live.start]
    guard started != 0, now &- Int64(clamping: started) >= threshold else { return nil }
    let words = live.snapshot()
    guard words[Live.start] != 0 else { return nil }
    var totals = RequestTotals()
    for index in 0..<4 { totals.traffic.counts[index] = words[Live.traffic + index] }
    totals[.inputRead] = words[Live.inputTime]
    totals[.outputWrite] = words[Live.outputTime]
    (totals[.gilWait], totals.gilWaits) = gil.waits(since: words[Live.gilBase], words[Live.gilCountBase])
    totals.setStages(
      requestStart: Int64(clamping: words[Live.requestStart]), queueStart: Int64(clamping: words[Live.queueStart]),
      isDaemon: accounting.isDaemon, start: Int64(clamping: words[Live.start]),
      applicationStart: words[Live.applicationStart] == 0 ? now : Int64(clamping: words[Live.applicationStart]),
      applicationFinish: now)
    var record = makeRecord(words, totals)
    record.isRunning = true
    record.duration = max(0, now &- record.start)
    return record
  }

  private func makeRecord(_ words: [UInt64], _ totals: RequestTotals) -> SlowRequest {
    SlowRequest(
      start: Int64(clamping: words[Live.start]), thread: account.ordinal, ticket: words[Live.ticket],
      identity: RequestIdentity(words, at: Live.identity), totals: totals,
      activeAtStart: Int(clamping: words[Live.activeAtStart]))
  }
}
