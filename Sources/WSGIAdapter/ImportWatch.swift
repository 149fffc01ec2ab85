import Platform
import PythonRuntime
import Synchronization

/// The scripts that are being imported in this process, by the threads that do it. One that takes long is reported with the
/// Python stack that shows where it is: requests that wait for it tell nothing.
final class ImportWatch: DueReports, @unchecked Sendable {
  final class Import: Sendable {
    let script: String
    let attachment: Attachment
    /// Its `mod_wsgi.thread_id`.
    let thread: Int
    /// Nanoseconds of the monotonic clock.
    let since: UInt64
    /// Set with the GIL: before that its thread's frames are those of the import.
    fileprivate let hasEnded = Atomic<Bool>(false)

    init(_ script: String, _ attachment: Attachment, thread: Int, since: UInt64) {
      self.script = script
      self.attachment = attachment
      self.thread = thread
      self.since = since
    }

    var isUnderWay: Bool { !hasEnded.load(ordering: .relaxed) }
  }

  /// When an import is reported for the first time, in nanoseconds; then whenever it has taken twice as long again.
  static let patience: UInt64 = 10_000_000_000

  private var entries: [(running: Import, due: UInt64)] = []
  private var report: (Import, _ seconds: UInt64) -> Void = { _, _ in }

  /// Says how to log on another thread that an import takes long. Once, before any import.
  func begin(_ report: @escaping (Import, UInt64) -> Void) { self.report = report }

  /// The calling thread begins to import a script. Attached.
  func begin(_ script: String, _ attachment: Attachment, thread: Int) -> Import {
    let now = Clock.monotonicNanoseconds()
    let started = Import(script, attachment, thread: thread, since: now)
    withLock {
      entries.append((started, now &+ ImportWatch.patience))
      announce()
    }
    return started
  }

  /// Attached.
  func end(_ ended: Import) {
    ended.hasEnded.store(true, ordering: .relaxed)
    withLock { entries.removeAll { $0.running === ended } }
  }

  var underWay: [Import] { withLock { entries.map(\.running) } }

  /// How long it takes until every import that is under way in an interpreter will have been reported; 0: they have been.
  func millisecondsUntilReported(in interpreter: Interpreter) -> Int {
    let now = Clock.monotonicNanoseconds()
    let ends = underWay.filter { $0.attachment.interpreter === interpreter }.map { $0.since &+ ImportWatch.patience }
    return ends.map { $0 > now ? Int(($0 &- now) / 1_000_000) : 0 }.max() ?? 0
  }

  override var nextDue: UInt64? { entries.map(\.due).min() }

  override func takeDue(_ now: UInt64) -> () -> Void {
    guard let next = entries.firstIndex(where: { $0.due <= now }) else { return {} }
    let (running, due) = entries[next]
    let taken = due &- running.since
    entries[next].due = due &+ taken
    return { [self] in report(running, taken / 1_000_000_000) }
  }
}
