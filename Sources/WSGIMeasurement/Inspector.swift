/// One thread that does what may have to wait for the GIL, for callers who wait with a limit. It is started at its first
/// use and kept, as its thread states in the interpreters are.
public final class Inspector: @unchecked Sendable {  // everything is guarded by `condition`
  private final class Job {
    let work: () -> Void
    var isDone = false
    init(_ work: @escaping () -> Void) { self.work = work }
  }

  private final class Answer<R> { var value: R? }

  private let condition = Condition()
  private var jobs: [Job] = []
  private var isWorking = false
  private var isStarted = false

  public init() {}

  /// What `work` gives on the inspector's thread; nil where it has not ended in time (it goes on all the same).
  public func run<R: Sendable>(milliseconds: UInt32, _ work: @escaping @Sendable () -> R) -> R? {
    let deadline = Clock.monotonic() &+ UInt64(milliseconds) &* 1_000_000
    let answer = Answer<R>()
    let job = Job { answer.value = work() }
    condition.lock()
    defer { condition.unlock() }
    guard startThread() else { return nil }
    jobs.append(job)
    condition.announce()
    while !job.isDone {
      if !condition.wait(until: deadline) { return job.isDone ? answer.value : nil }
    }
    return answer.value
  }

  /// It has nothing to do, not even what a caller has stopped to wait for.
  public var isIdle: Bool {
    condition.lock()
    defer { condition.unlock() }
    return jobs.isEmpty && !isWorking
  }

  /// Waits until it has nothing to do.
  public func waitUntilIdle() {
    condition.lock()
    while !jobs.isEmpty || isWorking { condition.wait() }
    condition.unlock()
  }

  private func startThread() -> Bool {
    if isStarted { return true }
    guard BackgroundThread.start({ [self] in loop() }) else { return false }
    isStarted = true
    return true
  }

  private func loop() {
    condition.lock()
    while true {
      while jobs.isEmpty { condition.wait() }
      let job = jobs.removeFirst()
      isWorking = true
      condition.unlock()
      job.work()
      condition.lock()
      job.isDone = true
      isWorking = false
      condition.announce()
    }
  }
}
