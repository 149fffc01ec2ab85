import Platform
import Synchronization

/// Activity of this process between two samples. Times are nanoseconds unless they say otherwise.
public struct MetricsSample: Sendable {
  public struct PhaseTimes: Sendable {
    public var total: UInt64 = 0
    /// Nil where no request ended.
    public var smallest: UInt64?
    public var largest: UInt64?
    public var buckets = [UInt64](repeating: 0, count: TimeHistogram.count)
  }

  /// One thread's share.
  public struct Slot: Sendable {
    public var ended: UInt64 = 0
    public var busy: UInt64 = 0
    public var processor: UInt64 = 0
    /// How long the request has run that runs now.
    public var elapsed: UInt64 = 0
    public var longest: UInt64 = 0
  }

  /// Microseconds since the epoch.
  public var start: Int64 = 0
  public var stop: Int64 = 0
  public var requests: UInt64 = 0
  public var statusClasses = [UInt64](repeating: 0, count: 5)
  public var traffic = RequestTraffic()
  public var gilWaits: UInt64 = 0
  public var phases = [PhaseTimes](repeating: PhaseTimes(), count: RequestPhase.count)
  /// One for each thread that there may be.
  public var slots: [Slot] = []
  public var threadsMaximum = 0
  public var threadsStarted = 0
  public var threadsActive = 0
  public var processor = ProcessorTime()
  public var memory = ProcessMemory(resident: 0, largest: 0)

  public var seconds: Double { max(Double(stop &- start) / 1e6, 1e-6) }
  public var throughput: Double { Double(requests) / seconds }
  /// Processor time as a share of one core.
  public var userUtilization: Double { Double(processor.user) / 1e9 / seconds }
  public var systemUtilization: Double { Double(processor.system) / 1e9 / seconds }
  /// The share of all threads' time that was spent on requests.
  public var capacityUtilization: Double {
    let busy = slots.reduce(0) { $0 + Double($1.busy) }
    return busy / 1e9 / seconds / Double(max(threadsMaximum, 1))
  }

  /// Mean seconds of a phase for each request.
  public func mean(_ phase: RequestPhase) -> Double {
    requests == 0 ? 0 : Double(phases[phase.rawValue].total) / 1e9 / Double(requests)
  }
}

/// Takes samples: each covers the time since the one before. Any thread.
public final class MetricsSampler: Sendable {
  private struct Seen {
    var words: [UInt64]
    var busy: UInt64
  }

  private struct State {
    var start: Int64?
    var processor = ProcessorTime.process()
    /// By place in `Accounting.all`.
    var threads: [Seen] = []
  }

  private let accounting: Accounting
  private let state = Mutex(State())

  public init(_ accounting: Accounting) { self.accounting = accounting }

  /// Begins the first period, where none has been begun.
  public func begin() { state.withLock { if $0.start == nil { _ = take(&$0) } } }

  /// The period's sample, and the beginning of the next one; nil before `begin`.
  public func sample() -> MetricsSample? { state.withLock { $0.start == nil ? nil : take(&$0) } }

  private func take(_ state: inout State) -> MetricsSample {
    typealias Word = ThreadAccount.Word
    typealias Bank = ThreadAccount.Bank
    var sample = MetricsSample()
    // A request that ends from here on counts its extremes for the next period.
    let period = accounting.period.add(1, ordering: .sequentiallyConsistent).oldValue
    let processor = ProcessorTime.process()
    sample.stop = Clock.epochMicroseconds()
    sample.start = state.start ?? sample.stop
    sample.processor = processor.since(state.processor)
    sample.memory = .now()
    let accounts = accounting.all
    sample.threadsMaximum = accounting.threadLimit
    sample.threadsStarted = accounts.count
    for (index, account) in accounts.enumerated() {
      let words = account.words.snapshot()
      let start = words[Word.start]
      let elapsed = start == 0 ? 0 : UInt64(clamping: sample.stop &- Int64(clamping: start)) &* 1000
      let busy = words[Word.busy] &+ elapsed
      if index == state.threads.count {
        state.threads.append(Seen(words: [UInt64](repeating: 0, count: Word.count), busy: 0))
      }
      let before = state.threads[index]
      add(words, before.words, period: period, to: &sample)
      var slot = MetricsSample.Slot(
        ended: words[Word.measured] &- before.words[Word.measured], busy: busy &- min(busy, before.busy),
        processor: words[Word.processor] &- before.words[Word.processor], elapsed: elapsed)
      let bank = Bank.offset(period)
      if words[bank + Bank.period] == period &+ 1 { slot.longest = words[bank + Bank.longestBusy] }
      if slot.ended > 0 || start != 0 { sample.threadsActive += 1 }
      sample.slots.append(slot)
      state.threads[index] = Seen(words: words, busy: max(busy, before.busy))
    }
    while sample.slots.count < accounting.threadLimit { sample.slots.append(MetricsSample.Slot()) }
    state.start = sample.stop
    state.processor = processor
    return sample
  }

  private func add(_ words: [UInt64], _ before: [UInt64], period: UInt64, to sample: inout MetricsSample) {
    typealias Word = ThreadAccount.Word
    typealias Bank = ThreadAccount.Bank
    func difference(_ index: Int) -> UInt64 { words[index] &- before[index] }
    sample.requests &+= difference(Word.measured)
    for index in 0..<5 { sample.statusClasses[index] &+= difference(Word.statusClasses + index) }
    for index in 0..<4 { sample.traffic.counts[index] &+= difference(Word.traffic + index) }
    sample.gilWaits &+= difference(Word.gilWaits)
    // A request that ended while this sample was being taken is in its counts; its extremes are with the next period's.
    let hasExtremes = words[Bank.offset(period) + Bank.period] == period &+ 1
    let bank = Bank.offset(hasExtremes ? period : period &+ 1)
    for index in 0..<RequestPhase.count {
      sample.phases[index].total &+= difference(Word.totals + index)
      for bucket in 0..<TimeHistogram.count {
        sample.phases[index].buckets[bucket] &+= difference(Word.buckets + index * TimeHistogram.count + bucket)
      }
      guard hasExtremes || difference(Word.measured) > 0 else { continue }
      let smallest = words[bank + Bank.smallest + index]
      let largest = words[bank + Bank.largest + index]
      sample.phases[index].smallest = min(sample.phases[index].smallest ?? smallest, smallest)
      sample.phases[index].largest = max(sample.phases[index].largest ?? largest, largest)
    }
  }
}
