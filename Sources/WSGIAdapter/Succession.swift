import Platform
import PythonRuntime
import Synchronization
import WSGICore

/// How far an interpreter is with its replacement. Attached use only.
struct Succession {
  /// Another loads a changed script. Requests go on with the code that is there.
  var isLoading = false
  /// The times of scripts whose changed code does not load, by their paths.
  var failed: [[UInt8]: Int64] = [:]
}

extension ScriptLoader {
  /// Answers a change of a script by another interpreter, which loads it; `retired`: it has, and the request is to run there.
  /// True: the request runs the code that is there. False: no interpreter can be replaced here, and the log says why.
  func isKept(
    _ script: LoadedScript, _ modified: Int64, _ request: Request, _ gil: borrowing GILToken
  ) throws(ScriptFailure) -> Bool {
    if contents.succession.isLoading || contents.succession.failed[script.path] == modified { return true }
    // A request within another, one that must stay here, or one for which this interpreter was made leaves it to the next.
    if attachment.isNested || !request.mayRetire || request.hasNewCode { return true }
    if contents.interpreter.isRetired.load(ordering: .relaxed) { throw .retired }
    if let obstacle {
      report(obstacle, request)
      return false
    }
    let generations = contents.adapter.settings.reloadGenerations
    guard contents.adapter.python.mayReplace(contents.interpreter, generations: generations) else {
      if contents.generationWarning.isFirst {
        contents.adapter.logHere(
          .warning,
          "WSGI0743: Script '\(text(request.path))' has changed, but \(generations) interpreters of that name live already"
            + " (WSGIReloadGenerations): requests in the earlier ones have not ended. The newest \(contents.interpreter.label)"
            + " serves until they have.")
      }
      return true
    }
    contents.succession.isLoading = true
    let began = Clock.monotonicMilliseconds()
    let sharesGIL = !contents.interpreter.hasOwnGIL
    if sharesGIL { contents.adapter.shortTurns.begin(contents.adapter.python, contents.interpreter) }
    let outcome = attachment.detached(gil) { replace(request) }
    if sharesGIL { contents.adapter.shortTurns.end(contents.adapter.python, contents.interpreter) }
    contents.succession.isLoading = false
    switch outcome {
    case .replaced: throw .retired
    case .failed(let objection?):
      contents.adapter.obstacles.withLock { $0[contents.interpreter.name] = objection }
      report(objection, request)
      return false
    case .failed(nil):
      script.asked.answer(began: began)
      contents.succession.failed[script.path] = modified
      contents.adapter.notice?.noteKept(script: script.path)
      contents.adapter.logHere(
        .error,
        "WSGI0741: Script '\(text(request.path))' does not load anew; the \(contents.interpreter.label) keeps serving the old"
          + " code until the script changes again, or calls mod_wsgi.reload().")
      return true
    }
  }

  private enum Outcome {
    case replaced
    /// With why it never will, where that is known.
    case failed(objection: String?)
  }

  /// Has another interpreter load the script, and take this one's place. Not attached.
  private func replace(_ request: Request) -> Outcome {
    let python = contents.adapter.python
    let successor: Attachment
    do throws(InterpreterFailure) { successor = try python.makeSuccessor(of: contents.interpreter) } catch {
      return .failed(objection: nil)
    }
    defer { python.release(successor) }
    let (isLoaded, objection) = successor.run { gil -> (Bool, String?) in
      guard let contents = successor.interpreter.contents as? InterpreterContents else { return (false, nil) }
      var wanted = request
      wanted.rejectsStale = false
      wanted.mayRetire = false
      do throws(ScriptFailure) {
        _ = try ScriptLoader(contents: contents, attachment: successor).script(wanted, gil)
        return (true, nil)
      } catch {
        return (false, contents.refuser.map { "\($0) cannot be loaded into a second interpreter" })
      }
    }
    if isLoaded, python.replace(contents.interpreter, by: successor.interpreter) { return .replaced }
    python.giveUp(successor.interpreter)
    return .failed(objection: objection)
  }

  /// Why this interpreter cannot be replaced, as the end of a sentence.
  private var obstacle: String? {
    if contents.interpreter.isMain { return "it is the main interpreter; name an application group" }
    if !contents.interpreter.canEnd {
      return "Python \(Python.version) cannot end such an interpreter while the process goes on"
    }
    if let known = contents.adapter.obstacles.withLock({ $0[contents.interpreter.name] }) { return known }
    if let module = PythonCode.singlePhaseModule {
      return "module '\(module)' is initialised once for all interpreters (single-phase initialisation)"
    }
    return PythonCode.gilStateModule.map {
      "module '\($0)' may attach threads to the main interpreter, which is another (PyGILState_Ensure)"
    }
  }

  /// Says once why something else is done.
  private func report(_ obstacle: String, _ request: Request) {
    guard contents.adapter.reportedObstacles.withLock({ $0.insert(contents.interpreter.name).inserted }) else { return }
    contents.adapter.logHere(
      .warning,
      "WSGI0740: The \(contents.interpreter.label) cannot be replaced for changes of script '\(text(request.path))':"
        + " \(obstacle). "
        + (request.rejectsStale ? "The process is replaced instead." : "The script alone is loaded again."))
  }
}
