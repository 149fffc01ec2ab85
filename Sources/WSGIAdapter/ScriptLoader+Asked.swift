import Platform
import PythonRuntime
import Synchronization
import WSGICore

// Reloads that applications ask for.

extension ScriptLoader {
  /// Whether the script is to be loaded again because its application group has asked for that; the result stands for the time
  /// of a changed file.
  @inline(__always)
  func askedChange(of script: LoadedScript, _ request: Request) -> Int64? {
    contents.adapter.reloadBoard.calls == script.asked.calls || request.hasNewCode ? nil : lookForCalls(of: script, request)
  }

  @inline(never)
  private func lookForCalls(of script: LoadedScript, _ request: Request) -> Int64? {
    let board = contents.adapter.reloadBoard
    let calls = board.calls
    let latest = board.calls(of: contents.interpreter.name)
    if latest == script.asked.answered {
      script.asked.calls = calls
      return nil
    }
    if latest != script.asked.latest {
      script.asked.latest = latest
      contents.adapter.logHere(
        .info, "Script '\(text(request.path))' is to be loaded again: its application has called mod_wsgi.reload().")
    }
    return script.asked.isDue ? Clock.epochMicroseconds() : nil
  }
}

extension InterpreterContents {
  /// `mod_wsgi.reload()`: whether the application group is going to be reloaded for this call.
  func askForReload() throws(Raised) -> Bool {
    if Python.isForkedChild {
      throw Raised(.runtimeError, "reload() cannot be called in a process that the application has started")
    }
    if adapter.settings.isService { throw Raised(.runtimeError, "a service script is not reloaded") }
    // The code that asks has gone, or is the one that a reload would load.
    if interpreter.isRetired.load(ordering: .relaxed) || adapter.isStopping.load(ordering: .relaxed) { return false }
    if let thread = Python.knownThread?.ordinal,
      adapter.imports.underWay.contains(where: { $0.thread == thread && $0.attachment.interpreter === interpreter })
    {
      return false
    }
    return adapter.reloadBoard.call(interpreter.name)
  }
}
