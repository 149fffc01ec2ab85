import Glibc
import PythonRuntime
import Synchronization

// What a monitor wants to know of running requests, and do to them. The GIL may not be to be had at all, so that all of it
// happens on a thread of its own that the monitor waits for with a limit.

extension Adapter {
  /// Raises RequestTimeout in the thread that runs `ticket`. False where it does not run, or the GIL was not to be had.
  public func interrupt(_ ticket: UInt64) -> Bool {
    inspector.run(milliseconds: 1000) { [self] in
      guard let runner = running.running(ticket).first else { return false }
      return raise(in: runner, ticket)
    } ?? false
  }

  private func raise(in runner: RequestRunner, _ ticket: UInt64) -> Bool {
    let isRaised = python.withAttachment(to: runner.attachment.interpreter) { attachment in
      attachment.run {
        guard runner.ticket.load(ordering: .relaxed) == ticket,
          let contents = attachment.interpreter.contents as? InterpreterContents
        else { return false }
        return Attachment.raiseAsynchronously(contents.requestTimeout, inThread: runner.attachment.identity)
      }
    }
    return isRaised ?? false
  }
}

/// One thread that does what may have to wait for the GIL, for callers who wait with a limit. It is started at its first
/// use and kept, as its thread states in the interpreters are.
final class Inspector: @unchecked Sendable {  // everything is guarded by `monitor`
  private final class Job {
    let work: () -> Void
    var isDone = false
    init(_ work: @escaping () -> Void) { self.work = work }
  }

  private final class Box<R> { var value: R? }

  private let monitor = Monitor()
  private var jobs: [Job] = []
  private var isWorking = false
  private var isStarted = false

  /// What `work` gives on the inspector's thread; nil where it has not ended in time (it goes on all the same).
  func run<R: Sendable>(milliseconds: UInt32, _ work: @escaping @Sendable () -> R) -> R? {
    let deadline = Clock.monotonic() &+ UInt64(milliseconds) &* 1_000_000
    let box = Box<R>()
    let job = Job { box.value = work() }
    monitor.lock()
    defer { monitor.unlock() }
    guard startThread() else { return nil }
    jobs.append(job)
    monitor.announce()
    while !job.isDone {
      if !monitor.wait(until: deadline) { return job.isDone ? box.value : nil }
    }
    return box.value
  }

  /// It has nothing to do, not even what a caller has stopped to wait for.
  var isIdle: Bool {
    monitor.lock()
    defer { monitor.unlock() }
    return jobs.isEmpty && !isWorking
  }

  /// Waits until it has nothing to do.
  func waitUntilIdle() {
    monitor.lock()
    while !jobs.isEmpty || isWorking { monitor.wait() }
    monitor.unlock()
  }

  private func startThread() -> Bool {
    if isStarted { return true }
    guard BackgroundThread.start({ [self] in loop() }) else { return false }
    isStarted = true
    return true
  }

  private func loop() {
    monitor.lock()
    while true {
      while jobs.isEmpty { monitor.wait() }
      let job = jobs.removeFirst()
      isWorking = true
      monitor.unlock()
      job.work()
      monitor.lock()
      job.isDone = true
      isWorking = false
      monitor.announce()
    }
  }
}
