import Platform
import PythonRuntime
import Synchronization
import WSGICore
import WSGIMeasurement

/// The scripts that are being imported in this process, by the threads that do it. One that takes long is reported with the
/// Python stack that shows where it is: requests that wait for it tell nothing.
final class ImportWatch: @unchecked Sendable {  // everything is guarded by `condition`
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

  private let condition = Condition()
  private var entries: [(running: Import, due: UInt64)] = []
  private var isStarted = false

  /// The calling thread begins to import a script; `report` says on another that it takes long. Attached.
  func begin(
    _ script: String, _ attachment: Attachment, thread: Int, _ report: @escaping @Sendable (Import, _ seconds: UInt64) -> Void
  ) -> Import {
    let now = Clock.monotonicNanoseconds()
    let started = Import(script, attachment, thread: thread, since: now)
    condition.lock()
    defer { condition.unlock() }
    if !isStarted { isStarted = DetachedThread.start { [self] in loop(report) } == 0 }
    entries.append((started, now &+ ImportWatch.patience))
    condition.announce()
    return started
  }

  /// Attached.
  func end(_ ended: Import) {
    ended.hasEnded.store(true, ordering: .relaxed)
    condition.lock()
    entries.removeAll { $0.running === ended }
    condition.unlock()
  }

  var underWay: [Import] {
    condition.lock()
    defer { condition.unlock() }
    return entries.map(\.running)
  }

  /// How long it takes until every import that is under way in an interpreter will have been reported; 0: they have been.
  func millisecondsUntilReported(in interpreter: Interpreter) -> Int {
    let now = Clock.monotonicNanoseconds()
    let ends = underWay.filter { $0.attachment.interpreter === interpreter }.map { $0.since &+ ImportWatch.patience }
    return ends.map { $0 > now ? Int(($0 &- now) / 1_000_000) : 0 }.max() ?? 0
  }

  private func loop(_ report: (Import, _ seconds: UInt64) -> Void) {
    condition.lock()
    while true {
      guard let next = entries.indices.min(by: { entries[$0].due < entries[$1].due }) else {
        condition.wait()
        continue
      }
      let due = entries[next].due
      if Clock.monotonicNanoseconds() < due {
        _ = condition.wait(until: due)
        continue
      }
      let running = entries[next].running
      let taken = due &- running.since
      entries[next].due = due &+ taken
      condition.unlock()
      report(running, taken / 1_000_000_000)
      condition.lock()
    }
  }
}
