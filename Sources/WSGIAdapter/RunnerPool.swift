import PythonRuntime

/// The runners of one thread in one interpreter: one, or more where a request is answered by way of another (a sub-request).
/// Used by its own thread only.
final class RunnerPool {
  private unowned(unsafe) let attachment: Attachment
  private var idle: [RequestRunner] = []

  init(_ attachment: Attachment) { self.attachment = attachment }

  func take(_ adapter: Adapter) -> RequestRunner? {
    if let runner = idle.popLast() { return runner }
    guard let contents = attachment.interpreter.contents as? InterpreterContents else { return nil }
    let runner = RequestRunner(contents, attachment)
    adapter.running.add(runner)
    return runner
  }

  func giveBack(_ runner: RequestRunner) { idle.append(runner) }
}
