import PythonRuntime
import Synchronization

/// The runners of one thread in one interpreter: one, or more where a request is answered by way of another (a sub-request).
/// Used by its own thread only.
final class RunnerPool {
  private unowned(unsafe) let attachment: Attachment
  private var idle: [RequestRunner] = []

  init(_ attachment: Attachment) { self.attachment = attachment }

  func take(_ adapter: Adapter) -> RequestRunner? {
    if let runner = idle.popLast() { return runner }
    guard let contents = attachment.interpreter.contents as? InterpreterContents else { return nil }
    let runner = RequestRunner(contents, attachment, threadOrdinal: adapter.python.thread.ordinal)
    adapter.running.add(runner)
    return runner
  }

  func giveBack(_ runner: RequestRunner) { idle.append(runner) }
}

/// All runners of the process, for those who look at running requests from outside. There are as many as threads and
/// interpreters.
final class RunningRequests: Sendable {
  private let runners = Mutex<[RequestRunner]>([])

  func add(_ runner: RequestRunner) { runners.withLock { $0.append(runner) } }

  func remove(_ isGone: (RequestRunner) -> Bool) { runners.withLock { $0.removeAll(where: isGone) } }

  /// All runners, those without a request among them.
  var all: [RequestRunner] { runners.withLock { $0 } }

  /// How many requests run now.
  var count: Int { all.count { $0.ticket.load(ordering: .relaxed) != 0 } }

  /// The runners that run a request now, or the one that runs `ticket`.
  func running(_ ticket: UInt64 = 0) -> [RequestRunner] {
    runners.withLock { $0 }.filter { runner in
      let number = runner.ticket.load(ordering: .relaxed)
      return number != 0 && (ticket == 0 || number == ticket)
    }
  }
}
