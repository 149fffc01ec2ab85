/// One thread that runs what others give it, and that these wait for. It is started at its first use and kept.
///
/// For work that may have to wait for the GIL, since the thread keeps its states in the interpreters, and so that Python begins
/// and ends on one thread when neither happens on the server's.
public final class JobThread: @unchecked Sendable {  // everything is guarded by `condition`
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

  /// The result of `work`; nil where it has not ended in time (it goes on all the same), or there is no thread.
  public func run<R: Sendable>(milliseconds: UInt32, _ work: @escaping @Sendable () -> R) -> R? {
    let answer = Answer<R>()
    let deadline = Clock.monotonicNanoseconds() &+ UInt64(milliseconds) &* 1_000_000
    return run(until: deadline) { answer.value = work() } ? answer.value : nil
  }

  /// Waits for the end of `work`, without a limit. False: there is no thread, and nothing was run.
  public func run(_ work: @escaping () -> Void) -> Bool { run(until: nil, work) }

  private func run(until deadline: UInt64?, _ work: @escaping () -> Void) -> Bool {
    let job = Job(work)
    condition.lock()
    defer { condition.unlock() }
    if !isStarted { isStarted = DetachedThread.start { [self] in loop() } == 0 }
    guard isStarted else { return false }
    jobs.append(job)
    condition.announce()
    while !job.isDone {
      guard let deadline else {
        condition.wait()
        continue
      }
      if !condition.wait(until: deadline) { return job.isDone }
    }
    return true
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
