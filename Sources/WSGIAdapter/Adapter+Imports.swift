import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

// What the log is told of imports that take long, and of those that fail again and again.

extension Adapter {
  /// The calling thread begins to import a script. Attached.
  func beginImport(_ script: String, _ attachment: Attachment) -> ImportWatch.Import {
    imports.begin(script, attachment, thread: python.thread.ordinal) { [unowned self] in reportImport($0, $1) }
  }

  private func reportImport(_ running: ImportWatch.Import, _ seconds: UInt64) {
    let stack = stack(of: running, milliseconds: 1000)
    guard running.isUnderWay else { return }
    host.log(
      .warning,
      "WSGI0612: Script '\(running.script)' is still loading, after \(seconds) s, into the "
        + "\(running.attachment.interpreter.label) \(place); requests for it are waiting. "
        + (stack.isEmpty ? "It runs no Python code." : stack.joined(separator: ", ") + "."))
  }

  /// The Python stack of an import, as lines; what can be read without the GIL where that is not to be had in time.
  func stack(of running: ImportWatch.Import, milliseconds: UInt32) -> [String] {
    let lines = inspector.run(milliseconds: milliseconds) { [self] in stack(of: running) }
    return lines ?? stacksWithoutGIL()
  }

  /// The same, waiting for the GIL as long as that takes.
  func stack(of running: ImportWatch.Import) -> [String] {
    let lines = python.withAttachment(to: running.attachment.interpreter) { own in
      own.run { running.isUnderWay ? running.attachment.stack($0).lines("Thread \(running.thread)") : [] }
    }
    return lines ?? []
  }

  func reportRepeats(_ script: FailureLedger.Script, _ repeats: Int) {
    let group = String(decoding: script.applicationGroup, as: UTF8.self)
    let interpreter = group.isEmpty ? "main interpreter" : "sub-interpreter '\(group)'"
    host.log(
      .error,
      "WSGI0614: WSGI script '\(String(decoding: script.path, as: UTF8.self))' fails to load into the \(interpreter) \(place): "
        + "the failure in the traceback above repeated \(repeats == 1 ? "once" : "\(repeats) times").")
  }
}
