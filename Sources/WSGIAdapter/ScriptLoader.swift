import Glibc
import Platform
import PythonRuntime
import Synchronization
import WSGICore

/// Loads scripts into one interpreter.
struct ScriptLoader {
  let contents: InterpreterContents
  let attachment: Attachment

  struct Request {
    var path: UnsafeRawBufferPointer
    /// As the host saw it when the request came (`ScriptTime`): if another was loaded, the file is looked at again.
    var modified: Int64
    var isReloading = false
    /// A change is answered with `stale` instead of a reload in place.
    var rejectsStale = false
    /// This process was started for the request: its code is new unless the file has changed since.
    var hasNewCode = false
    /// A change is answered by another interpreter in place of this one.
    var replacesInterpreter = false
    /// The caller can go on in another interpreter, should this one be retired.
    var mayRetire = true
    /// Gives the requested resource, for the script's `reload_required`.
    var resource: () -> UnsafeRawBufferPointer? = { nil }
    /// The host of the request that the script is loaded for; it is told of a start that no request's timeout counts.
    unowned(unsafe) var exchange: RequestExchange?
  }

  /// The script, imported if it is not or has changed. Requests that race for it import it once.
  func script(_ request: Request, _ gil: borrowing GILToken) throws(ScriptFailure) -> LoadedScript {
    let found = contents.scripts.find(request.path)
    var failed: FailedScript?
    if let found {
      guard let modified = change(of: found, request, gil) ?? askedChange(of: found, request) else { return found }
      if request.replacesInterpreter, try isKept(found, modified, request, gil) { return found }
      if request.rejectsStale {
        found.asked.answer(began: Clock.monotonicMilliseconds())
        throw .stale(modified: modified, failure: 0)
      }
    } else {
      failed = contents.scripts.failure(request.path)
      if let failed { try checkAttempt(failed, request, gil) }
    }
    let lock = contents.interpreter.importLock
    try take(lock, request, gil)
    defer { lock.unlock() }
    if request.mayRetire, contents.interpreter.isRetired.load(ordering: .relaxed) { throw .retired }
    if let script = contents.scripts.find(request.path) {
      // Nothing is decided twice; a script that another thread has loaded since is new unless the file has changed.
      if script !== found {
        guard let modified = changeOfFile(since: script.modified, request, gil) else { return script }
        if request.rejectsStale { throw .stale(modified: modified, failure: 0) }
      }
      contents.adapter.host.log(
        .info, "Reloading WSGI script '\(text(request.path))' in the \(contents.interpreter.label) \(contents.adapter.place).")
      contents.scripts.remove(script.path)
    } else if let another = contents.scripts.failure(request.path), another !== failed {
      try checkAttempt(another, request, gil)
    }
    try retireIfSpoilt(request)
    return try load(request, gil)
  }

  /// Whether a new interpreter can take this one's place. A daemon process asks for another process.
  private var isDisposable: Bool {
    !contents.adapter.settings.isDaemon && contents.interpreter.isDisposable.load(ordering: .relaxed)
  }

  /// Another attempt at a script whose import failed half way is made in a new interpreter where that is possible. With the
  /// import lock.
  private func retireIfSpoilt(_ request: Request) throws(ScriptFailure) {
    guard request.mayRetire, isDisposable, !attachment.isNested, let failed = contents.scripts.failure(request.path),
      !failed.leavesNothing
    else { return }
    if contents.adapter.python.retire(contents.interpreter) { throw .retired }
    guard contents.retirementWarning.isFirst else { return }
    contents.adapter.logHere(
      .warning,
      "WSGI0615: Script '\(text(request.path))' is imported again in the same \(contents.interpreter.label), which may still "
        + "hold modules of the failed import: threads that it started prevent \(Python.retiredLimit) earlier interpreters of "
        + "that name from being ended. Fix the script and restart httpd, or start no threads during import.")
  }

  /// Whether a script whose import failed is to be tried again, here and now. A host that can gives the next attempt a process
  /// that the one before has not been in.
  private func checkAttempt(_ failed: FailedScript, _ request: Request, _ gil: borrowing GILToken) throws(ScriptFailure) {
    let change = changeOfFile(since: failed.modified, request, gil)
    guard failed.takeAttempt(anyway: change != nil), change != nil || !request.hasNewCode else {
      contents.adapter.failures.repeated(key(request))
      throw .notLoaded(failure: failed.failure)
    }
    guard request.rejectsStale, !failed.leavesNothing else { return }
    throw .stale(modified: change ?? failed.modified, failure: change == nil ? failed.failure : 0)
  }

  private func key(_ request: Request) -> FailureLedger.Script {
    FailureLedger.Script(path: Array(request.path), applicationGroup: contents.interpreter.name)
  }

  /// Waits without the GIL: the lock's holder needs that to finish. In a daemon process the wait has a limit, which no import
  /// reaches before it counts as one that may never end.
  private func take(_ lock: RecursiveLock, _ request: Request, _ gil: borrowing GILToken) throws(ScriptFailure) {
    if lock.tryLock() { return }
    guard contents.adapter.settings.isDaemon else {
      attachment.detached(gil) { lock.lock() }
      return
    }
    request.exchange?.started(-1)
    let limit = contents.adapter.settings.connectTimeout
    let imports = contents.adapter.imports
    let isTaken = attachment.detached(gil) {
      if lock.lock(milliseconds: min(max(Int(limit), 0), 86_400_000)) { return true }
      return lock.lock(milliseconds: imports.millisecondsUntilReported(in: contents.interpreter))
    }
    guard !isTaken else { return }
    contents.adapter.logHere(
      .error,
      "WSGI0613: Script '\(text(request.path))' is still loading into the \(contents.interpreter.label); request "
        + "refused after connect-timeout.")
    throw .stillLoading
  }

  /// The time of the wanted code, if the loaded code is out of date; nil: it is current.
  private func change(of script: LoadedScript, _ request: Request, _ gil: borrowing GILToken) -> Int64? {
    guard request.isReloading, !request.hasNewCode else { return changeOfFile(since: script.modified, request, gil) }
    do throws(Raised) {
      guard let stamp = try script.namespace.item(contents.names.mtime) else { return script.modified }
      let modified = stamp == script.stamp.object ? script.modified : Int64(try stamp.int())
      if let change = changeOfFile(since: modified, request, gil) { return change }
      guard let required = try script.namespace.item(contents.names.reloadRequired) else { return nil }
      let function = required.retained()
      let resource = try PyRef.fileSystem(request.resource() ?? request.path)
      request.exchange?.started(-1)
      return try function.call(resource).isTrue() ? script.modified : nil
    } catch {
      contents.logException("WSGI0108: Exception in reload_required of script '\(text(request.path))'.")
      return nil
    }
  }

  /// The file's time, if that is not `modified`. The request may have waited since its host looked at the file: a difference only
  /// asks for a second look. A file that does not exist has no newer code.
  @inline(__always)
  private func changeOfFile(since modified: Int64, _ request: Request, _ gil: borrowing GILToken) -> Int64? {
    if modified == request.modified || !request.isReloading { return nil }
    let now = attachment.detached(gil) { ScriptTime.now(request.path) }
    return now == modified || now == ScriptTime.unknown ? nil : now
  }

  func text(_ path: UnsafeRawBufferPointer) -> String { String(decoding: path, as: UTF8.self) }

  private func load(_ request: Request, _ gil: borrowing GILToken) throws(ScriptFailure) -> LoadedScript {
    request.exchange?.started(0)
    let path = text(request.path)
    let adapter = contents.adapter
    let began = Clock.monotonicMilliseconds()
    var asked = AskedReloads(adapter.reloadBoard, contents.interpreter.name)
    adapter.host.log(.info, "Loading WSGI script '\(path)' into the \(contents.interpreter.label) \(adapter.place).")
    var isForbidden = false
    var failure: UInt32 = 0
    do throws(Raised) {
      let name = try contents.function("module_name").call(try PyRef.bytes(request.path))
      let file = try PyRef.fileSystem(request.path)
      let read: PyRef
      do throws(Raised) {
        let wasThere = request.modified != ScriptTime.unknown
        read = try contents.function("compile_script").call(file.object, wasThere ? .true : .false)
      } catch {
        if let refusal = contents.scriptRefusal {
          contents.scriptRefusal = nil
          isForbidden = true
          adapter.logHere(.error, refusal)
          throw error
        }
        failure = note(request, modified: nil, gil)
        throw error
      }
      let (code, stamp) = (read.object.tupleItem(0), read.object.tupleItem(1))
      let modified = Int64(try stamp.int())
      let execute = try contents.function("execute_script")
      let module: PyRef
      // A service script does its work while it is loaded.
      let isService = adapter.settings.isService
      let running = isService ? nil : adapter.imports.begin(path, attachment, thread: adapter.python.thread.ordinal)
      defer { if let running { adapter.imports.end(running) } }
      do throws(Raised) {
        module = try execute.call([code, name.object, file.object, stamp])
        if Python.isForkedChild { contents.endForkedChild("'\(path)'") }
      } catch {
        if Python.isForkedChild { contents.endForkedChild("'\(path)'") }
        failure = note(request, modified: modified, gil)
        throw error
      }
      asked.answer(began: began)
      let script = try LoadedScript(
        path: Array(request.path), module: module, stamp: stamp.retained(), modified: modified, asked: asked)
      contents.interpreter.keep(mayBeReplaced: request.replacesInterpreter)
      contents.scripts.replace(script)
      adapter.failures.loaded(key(request))
      adapter.notice?.noteLoaded(script: script.path)
      return script
    } catch {
      PythonException.clear()
      throw isForbidden ? .forbidden : .notLoaded(failure: failure)
    }
  }

  /// Takes the exception that kept a script from loading, and logs it unless the log has it already. `modified`: of the file that
  /// was executed; nil: it could not be read or compiled. The result names the failure.
  private func note(_ request: Request, modified: Int64?, _ gil: borrowing GILToken) -> UInt32 {
    guard let exception = PythonException.take() else { return 0 }
    let isExit = PythonException.isSystemExit(exception.object)
    // How a service ends.
    if isExit, contents.adapter.settings.isService { return 0 }
    let time = modified ?? attachment.detached(gil) { ScriptTime.now(request.path) }
    let failure = contents.fingerprint(exception.object, time)
    let pause =
      modified != nil && isDisposable ? contents.adapter.failures.pause(key(request), modified: time) : FailedScript.leastPause
    contents.scripts.replace(
      FailedScript(path: Array(request.path), modified: time, failure: failure, leavesNothing: modified == nil, pause: pause))
    let path = text(request.path)
    contents.adapter.notice?.noteFailed(script: Array(request.path), "\(path): \(exception.object.shown())")
    guard contents.adapter.failures.failed(key(request), failure) else { return failure }
    if modified == nil {
      contents.log(
        exception.object, "WSGI0105: Target WSGI script '\(path)' could not be read or compiled.", script: request.path)
    } else if isExit {
      contents.log(exception.object, "WSGI0107: SystemExit raised by WSGI script '\(path)' during import; ignored.")
    } else {
      contents.adapter.logHere(.error, "WSGI0109: Target WSGI script '\(path)' cannot be loaded as a Python module.")
      contents.log(
        exception.object,
        "WSGI0174: Exception \(exception.object.typeName) while loading WSGI script '\(path)' into the "
          + "\(contents.interpreter.label).", script: request.path)
    }
    return failure
  }
}

extension ScriptTime {
  /// The file's current time, following links.
  static func now(_ path: UnsafeRawBufferPointer) -> Int64 {
    withUnsafeTemporaryAllocation(byteCount: path.count + 1, alignment: 1) { text in
      text.copyMemory(from: path)
      text[path.count] = 0
      var about = stat()
      guard let start = text.baseAddress, stat(start.assumingMemoryBound(to: CChar.self), &about) == 0 else { return unknown }
      let (seconds, overflow) = Int64(about.st_mtim.tv_sec).multipliedReportingOverflow(by: 1_000_000)
      return overflow ? unknown : seconds &+ Int64(about.st_mtim.tv_nsec / 1000)
    }
  }
}
