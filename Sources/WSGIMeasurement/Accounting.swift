import Platform
import Synchronization

/// The stretches of a request's life that are measured. Their names are those of the keys of `request_metrics()`.
public enum RequestPhase: Int, CaseIterable {
  /// Received by httpd until queued for a daemon process; in embedded mode until the application starts.
  case server
  /// Queued until taken by a daemon process.
  case queue
  /// Taken until the application starts.
  case daemon
  /// The application, `close()` of its response included.
  case application
  /// The sum of the four.
  case request
  /// Waiting for the GIL, in all.
  case gilWait
  /// Reading the request's body, in all.
  case inputRead
  /// Passing the response on, in all.
  case outputWrite

  static let count = 8

  public var isDaemonOnly: Bool { self == .queue || self == .daemon }
}

/// The parts of a request, as its runner counts them.
public struct RequestTraffic: Sendable {
  public var inputBytes: UInt64 = 0
  public var inputReads: UInt64 = 0
  public var outputBytes: UInt64 = 0
  public var outputWrites: UInt64 = 0
  public init() {}

  /// All of them, in the order in which they stand among words and in datagrams.
  var counts: SIMD4<UInt64> {
    get { SIMD4(inputBytes, inputReads, outputBytes, outputWrites) }
    set { (inputBytes, inputReads, outputBytes, outputWrites) = (newValue[0], newValue[1], newValue[2], newValue[3]) }
  }
}

/// Totals of a finished request. Times are nanoseconds.
public struct RequestTotals: Sendable {
  var status: Int32 = 0
  /// Indexed by `RequestPhase`.
  var phases = SIMD8<UInt64>(repeating: 0)
  var busy: UInt64 = 0
  var processor: UInt64 = 0
  var traffic = RequestTraffic()
  var gilWaits: UInt64 = 0

  subscript(phase: RequestPhase) -> UInt64 {
    get { phases[phase.rawValue] }
    set { phases[phase.rawValue] = newValue }
  }

  /// Sets the stages that follow one another, and their sum, from times in microseconds. None is negative even where the clocks
  /// are set back.
  mutating func setStages(
    requestStart: Int64, queueStart: Int64, isDaemon: Bool, start: Int64, applicationStart: Int64, applicationFinish: Int64
  ) {
    func stage(_ from: Int64, _ to: Int64) -> UInt64 { UInt64(clamping: to &- from) &* 1000 }
    self[.server] = stage(requestStart, isDaemon ? queueStart : applicationStart)
    if isDaemon {
      self[.queue] = stage(queueStart, start)
      self[.daemon] = stage(start, applicationStart)
    }
    self[.application] = stage(applicationStart, applicationFinish)
    self[.request] = self[.server] &+ self[.queue] &+ self[.daemon] &+ self[.application]
  }

  /// 0 for 1xx … 4 for 5xx; a request without a status counts as failed.
  var statusClass: Int { (100...599).contains(status) ? Int(status) / 100 - 1 : 4 }
}

/// The counters of one thread that runs requests. They only grow, so that readers take the difference to what they saw last;
/// smallest and largest values, which no difference gives, are kept for the current and the previous period.
public final class ThreadAccount: Sendable {
  /// Where each number stands among the words.
  enum Word {
    /// Every request that ended, measured or not.
    static let ended = 0
    /// Microseconds since the epoch; 0 while no measured request runs.
    static let start = 1
    static let measured = 2
    static let statusClasses = 3
    static let busy = 8
    static let processor = 9
    static let traffic = 10
    static let gilWaits = 14
    static let totals = 15
    static let buckets = totals + RequestPhase.count
    static let banks = buckets + RequestPhase.count * TimeHistogram.count
    static let count = banks + 2 * Bank.count
  }

  /// The extremes of one period, of two that take turns.
  enum Bank {
    /// The period plus one that they are of.
    static let period = 0
    static let smallest = 1
    static let largest = 1 + RequestPhase.count
    static let longestBusy = 1 + 2 * RequestPhase.count
    static let count = 2 + 2 * RequestPhase.count

    static func offset(_ period: UInt64) -> Int { Word.banks + Int(period & 1) * count }
  }

  /// The thread's `mod_wsgi.thread_id`.
  public let ordinal: Int
  let words = WatchedWords(count: Word.count)

  init(ordinal: Int) { self.ordinal = ordinal }

  /// The number of requests that have ended on this thread.
  public var endedRequests: UInt64 { words[Word.ended] }

  /// How long the thread has run requests while they were measured, the one that runs now included.
  public func busySeconds(_ now: Int64) -> Double {
    let words = words.snapshot()
    let start = Int64(clamping: words[Word.start])
    return Double(words[Word.busy]) / 1e9 + (start == 0 ? 0 : Clock.seconds(microseconds: max(0, now &- start)))
  }

  /// A request that was not measured has ended. Its own thread.
  public func countEnded() { words.add(Word.ended, 1) }

  /// A measured request begins; false where another runs already, whose sub-request it is. Its own thread.
  func begin(_ start: Int64) -> Bool {
    guard words[Word.start] == 0 else { return false }
    words.update { words[Word.start] = UInt64(clamping: start) }
    return true
  }

  /// The request that `begin` was told of has ended. Its own thread.
  func end(_ totals: RequestTotals?, isOutermost: Bool, period: borrowing Atomic<UInt64>) {
    words.update {
      words.add(Word.ended, 1)
      if isOutermost { words[Word.start] = 0 }
      if let totals { add(totals, isOutermost: isOutermost, period: period.load(ordering: .sequentiallyConsistent)) }
    }
  }

  /// The request that `begin` was told of was not for this process. Its own thread.
  func abandon(isOutermost: Bool) { if isOutermost { words[Word.start] = 0 } }

  private func add(_ totals: RequestTotals, isOutermost: Bool, period: UInt64) {
    words.add(Word.measured, 1)
    words.add(Word.statusClasses + totals.statusClass, 1)
    for index in 0..<4 { words.add(Word.traffic + index, totals.traffic.counts[index]) }
    words.add(Word.gilWaits, totals.gilWaits)
    // A sub-request's time is part of the time of the request that it belongs to.
    if isOutermost {
      words.add(Word.busy, totals.busy)
      words.add(Word.processor, totals.processor)
    }
    let bank = Bank.offset(period)
    let isFirst = words[bank + Bank.period] != period &+ 1
    if isFirst {
      words[bank + Bank.period] = period &+ 1
      words[bank + Bank.longestBusy] = 0
    }
    for index in 0..<RequestPhase.count {
      let time = totals.phases[index]
      words.add(Word.totals + index, time)
      words.add(Word.buckets + index * TimeHistogram.count + TimeHistogram.bucket(microseconds: time / 1000), 1)
      if isFirst || time < words[bank + Bank.smallest + index] { words[bank + Bank.smallest + index] = time }
      if isFirst || time > words[bank + Bank.largest + index] { words[bank + Bank.largest + index] = time }
    }
    if totals.busy > words[bank + Bank.longestBusy] { words[bank + Bank.longestBusy] = totals.busy }
  }
}

/// The accounts of one process, and the reasons to keep them. Requests are measured only while there is one.
public final class Accounting: Sendable {
  /// Why requests are measured.
  public struct Interest: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Metrics are recorded.
    public static let recording = Interest(rawValue: 1)
    /// An application has subscribed to events.
    public static let events = Interest(rawValue: 2)
    /// Slow requests are looked for.
    public static let slowRequests = Interest(rawValue: 4)
  }

  public let isDaemon: Bool
  /// The number of threads that may run requests, by configuration.
  let threadLimit: Int
  /// When the process began, in microseconds since the epoch.
  public var processStart: Int64 { start.load(ordering: .relaxed) }
  private let start = Atomic(Clock.epochMicroseconds())
  @usableFromInline let interestBits = Atomic<UInt8>(0)
  private let accounts = Mutex<[ThreadAccount]>([])
  /// The number of the current period of `MetricsSampler`.
  let period = Atomic<UInt64>(0)
  /// The number of requests that run now; counted while slow requests are looked for.
  let active = Atomic<Int>(0)

  public init(isDaemon: Bool, threadLimit: Int) {
    self.isDaemon = isDaemon
    self.threadLimit = max(threadLimit, 1)
  }

  /// This is a fork of the process that there was: its time begins.
  public func beginAgain() { start.store(Clock.epochMicroseconds(), ordering: .relaxed) }

  @inlinable
  public var interest: Interest { Interest(rawValue: interestBits.load(ordering: .relaxed)) }

  /// From now on requests are measured for this reason too.
  public func add(_ interest: Interest) { interestBits.bitwiseOr(interest.rawValue, ordering: .sequentiallyConsistent) }

  /// The account of a thread, opened at its first request. Called by that thread.
  func account(forThread ordinal: Int) -> ThreadAccount {
    accounts.withLock { accounts in
      if let known = accounts.first(where: { $0.ordinal == ordinal }) { return known }
      let opened = ThreadAccount(ordinal: ordinal)
      accounts.append(opened)
      return opened
    }
  }

  /// All accounts, in the order in which their threads came.
  public var all: [ThreadAccount] { accounts.withLock { $0 } }

  /// The number of requests that have ended in this process.
  public var endedRequests: UInt64 { all.reduce(0) { $0 &+ $1.endedRequests } }
}
