import CPosix
import Glibc
import Platform
import ProcessSupervision
import Synchronization
import WSGICore

/// Logs what all threads of the process do, each time that SIGQUIT arrives, on a thread of its own: the others may all be stuck.
final class StackReports: Sendable {
  private let log: ProcessLog
  private let title: String
  /// A byte arrives here with each signal.
  private let signals: Int32
  /// Python runs; held while it is asked.
  private let engine = Mutex<Engine?>(nil)

  /// How long the GIL is waited for. Code that keeps it for longer, an extension module's, is stuck as likely as not.
  private static let patience: UInt32 = 1000

  /// From here on SIGQUIT no longer ends the process. nil: no sockets, or no handlers; errno says why.
  init?(_ settings: WorkerSettings, log: ProcessLog) {
    var ends: [Int32] = [-1, -1]
    guard wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) == 0, fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0 else {
      return nil
    }
    let failure = wsgi_posix_catch_early_signals(ends[1])
    guard failure == 0 else {
      errno = -failure
      return nil
    }
    self.log = log
    title = settings.title
    signals = ends[0]
  }

  /// Answers signals that have come and will come. An errno value, or 0.
  func start(_ engine: Engine, stackSize: Int) -> Int32 {
    self.engine.withLock { $0 = engine }
    return DetachedThread.start(named: "wsgi:stacks", stackSize: stackSize, takesSignals: true) { [self] in
      var bytes = [UInt8](repeating: 0, count: 256)
      // Signals that came while the last report was written are answered together.
      while systemCall({ read(signals, &bytes, bytes.count) }) > 0 { report() }
    }
  }

  /// Waits for a report that is being written, and lets none follow: Python is about to end.
  func end() { engine.withLock { $0 = nil } }

  private func report() {
    engine.withLock { engine in
      guard let engine else { return }
      let (lines, isComplete) = engine.stacks(0, milliseconds: Self.patience)
      var text = "SIGQUIT: stacks of the threads of daemon process \(title)"
      if !isComplete { text += ", read without the GIL, which a thread holds" }
      write(lines.isEmpty ? "\(text): \(isComplete ? "none runs Python code" : "Python cannot show them")." : "\(text):")
      for line in lines { write(line) }
    }
  }

  private func write(_ text: String) { log.write(.warning, "WSGI0650: \(text)") }
}
