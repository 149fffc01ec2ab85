import Glibc
import PythonRuntime
import Synchronization

// What a monitor wants to know of running requests, and do to them. The GIL may not be to be had at all, so that all of it
// happens on a thread of its own that the monitor waits for with a limit.

extension Adapter {
  /// Raises RequestTimeout in the thread that runs `ticket`. False where it does not run, or the GIL was not to be had.
  public func interrupt(_ ticket: UInt64) -> Bool {
    let result = inspector.run(milliseconds: 1000) { [self] in
      guard let runner = running.running(ticket).first else { return [] }
      return raise(in: runner, ticket) ? [""] : []
    }
    return result.map { !$0.isEmpty } ?? false
  }

  private func raise(in runner: RequestRunner, _ ticket: UInt64) -> Bool {
    guard let attachment = attachmentHere(runner) else { return false }
    return attachment.run {
      guard runner.ticket.load(ordering: .relaxed) == ticket,
        let contents = attachment.interpreter.contents as? InterpreterContents
      else { return false }
      return Attachment.raiseAsynchronously(contents.requestTimeout, inThread: runner.attachment.identity)
    }
  }

  private func attachmentHere(_ runner: RequestRunner) -> Attachment? {
    runner.attachment.interpreter.name.withUnsafeBytes { try? python.attachment($0) }
  }

  /// The Python stacks of the threads that run `ticket`, or of all requests (0), as lines; the flag is false where the GIL
  /// was not to be had in time, and the lines are what could be read without it.
  public func stacks(_ ticket: UInt64, milliseconds: UInt32) -> ([String], Bool) {
    let lines = inspector.run(milliseconds: milliseconds) { [self] in
      var lines: [String] = []
      for runner in running.running(ticket) {
        guard let attachment = attachmentHere(runner) else { continue }
        attachment.run { lines.append(contentsOf: Adapter.describe(runner)) }
      }
      return lines
    }
    if let lines { return (lines, true) }
    return (Adapter.stacksWithoutGIL(), false)
  }

  private static func describe(_ runner: RequestRunner) -> [String] {
    runner.attachment.frames().enumerated().map { index, frame in
      let place = "file \"\(frame.file)\", line \(frame.line), in \(frame.function)"
      return index == 0 ? "Thread \(runner.threadOrdinal) executing \(place)" : "called from \(place)"
    }
  }

  private static func stacksWithoutGIL() -> [String] {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return [] }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    defer { for end in ends { close(end) } }
    Python.dumpWithoutGIL(to: ends[1])
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = read(ends[0], &buffer, buffer.count)
    guard count > 0 else { return [] }
    return String(decoding: buffer.prefix(count), as: UTF8.self).split(separator: "\n").map(String.init)
  }
}

/// One thread that does what may have to wait for the GIL, for callers who wait with a limit. It is started at its first
/// use and kept, as its thread states in the interpreters are.
final class Inspector: @unchecked Sendable {  // everything is guarded by `mutex`
  final class Job {
    fileprivate let work: () -> [String]
    fileprivate var result: [String]?
    fileprivate init(_ work: @escaping () -> [String]) { self.work = work }
  }

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var jobs: [Job] = []
  private var isStarted = false

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// The lines that `work` gives on the inspector's thread; nil where it has not ended in time (it goes on all the same).
  func run(milliseconds: UInt32, _ work: @escaping @Sendable () -> [String]) -> [String]? {
    let job = Job(work)
    var deadline = timespec()
    clock_gettime(CLOCK_REALTIME, &deadline)
    let nanoseconds = Int(deadline.tv_nsec) &+ Int(milliseconds % 1000) &* 1_000_000
    deadline.tv_sec = deadline.tv_sec &+ Int(milliseconds / 1000) &+ nanoseconds / 1_000_000_000
    deadline.tv_nsec = nanoseconds % 1_000_000_000
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard startThread() else { return nil }
    jobs.append(job)
    pthread_cond_broadcast(changed)
    while job.result == nil {
      if pthread_cond_timedwait(changed, mutex, &deadline) == ETIMEDOUT { return job.result }
    }
    return job.result
  }

  private func startThread() -> Bool {
    if isStarted { return true }
    guard BackgroundThread.start({ [self] in loop() }) else { return false }
    isStarted = true
    return true
  }

  private func loop() {
    pthread_mutex_lock(mutex)
    while true {
      while jobs.isEmpty { pthread_cond_wait(changed, mutex) }
      let job = jobs.removeFirst()
      pthread_mutex_unlock(mutex)
      let lines = job.work()
      pthread_mutex_lock(mutex)
      job.result = lines
      pthread_cond_broadcast(changed)
    }
  }
}
