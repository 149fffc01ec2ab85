import Glibc
import PythonRuntime
import WSGICore

/// A script that has been imported: its module, and the time stamp that it was loaded for.
final class LoadedScript {
  let path: [UInt8]
  let module: KeptRef
  /// The module's namespace, borrowed from it.
  let namespace: PyObj
  /// `__mtime__` as it was set, and its value.
  let stamp: PyObj
  let modified: Int64

  init(path: [UInt8], module: KeptRef, namespace: PyObj, stamp: PyObj, modified: Int64) {
    self.path = path
    self.module = module
    self.namespace = namespace
    self.stamp = stamp
    self.modified = modified
  }
}

/// Why a script is not to be had; the log has been told.
enum ScriptFailure: Error {
  /// The script changed, and the host wants a new process for that.
  case stale
  /// It could not be read, compiled or executed.
  case notLoaded
  /// Another request has been loading it, or a script of the same interpreter, for too long.
  case stillLoading
}

/// The scripts imported into one interpreter. Attached use only.
final class ScriptTable {
  private var loaded: [LoadedScript] = []

  func find(_ path: UnsafeRawBufferPointer) -> LoadedScript? {
    for script in loaded where script.path.count == path.count {
      let isThis = script.path.withUnsafeBytes { known in
        guard let a = known.baseAddress, let b = path.baseAddress else { return true }
        return memcmp(a, b, path.count) == 0
      }
      if isThis { return script }
    }
    return nil
  }

  func replace(_ script: LoadedScript) {
    remove(script.path)
    loaded.append(script)
  }

  func remove(_ path: [UInt8]) {
    for index in loaded.indices.reversed() where loaded[index].path == path {
      var module = loaded.remove(at: index).module
      module.drop()
    }
  }

  func drop() {
    for script in loaded {
      var module = script.module
      module.drop()
    }
    loaded = []
  }
}

/// Loads scripts into one interpreter (reference/daemon-process §9 and wsgi-semantics §7).
struct ScriptLoader {
  let contents: InterpreterContents
  let attachment: Attachment

  struct Request {
    var path: UnsafeRawBufferPointer
    /// Microseconds; 0 where the host could not stat the script.
    var modified: Int64
    var isReloading: Bool
    /// A change is answered with `stale` instead of a reload in place.
    var rejectsStale: Bool
    /// Gives the requested resource, for the script's `reload_required`.
    var resource: () -> UnsafeRawBufferPointer?
  }

  /// The script, imported if it is not or has changed. Requests that race for it import it once.
  func script(_ request: Request) throws(ScriptFailure) -> LoadedScript {
    if let script = contents.scripts.find(request.path) {
      if try isCurrent(script, request) { return script }
      if request.rejectsStale { throw .stale }
    }
    let lock = contents.interpreter.importLock
    try take(lock, request)
    defer { lock.unlock() }
    if let script = contents.scripts.find(request.path) {
      if try isCurrent(script, request) { return script }
      contents.adapter.host.log(
        .info, "Reloading WSGI script '\(text(request.path))' in the \(contents.interpreter.label) \(contents.adapter.place).")
      contents.scripts.remove(script.path)
    }
    return try load(request)
  }

  /// Waits without the GIL: the lock's holder needs that to finish. In a daemon process the wait has a limit, which no import
  /// reaches before it counts as one that may never end.
  private func take(_ lock: RecursiveLock, _ request: Request) throws(ScriptFailure) {
    guard let limit = contents.adapter.settings.number(EngineSettings.connectTimeout) else {
      attachment.detached { lock.lock() }
      return
    }
    let imports = contents.adapter.imports
    let isTaken = attachment.detached {
      if lock.lock(milliseconds: min(max(limit, 0), 86_400_000)) { return true }
      return lock.lock(milliseconds: imports.millisecondsUntilReported(in: contents.interpreter))
    }
    guard !isTaken else { return }
    contents.adapter.logHere(
      .error,
      "WSGI0613: Script '\(text(request.path))' is still loading into the \(contents.interpreter.label): the request is "
        + "refused after connect-timeout.")
    throw .stillLoading
  }

  private func isCurrent(_ script: LoadedScript, _ request: Request) throws(ScriptFailure) -> Bool {
    guard request.isReloading else { return true }
    do throws(Raised) {
      guard let stamp = try script.namespace.item(contents.names.mtime) else { return false }
      let modified = stamp == script.stamp ? script.modified : Int64(try stamp.int())
      guard modified == request.modified, request.modified != 0 else { return false }
      guard let required = try script.namespace.item(contents.names.reloadRequired) else { return true }
      let resource = try PyRef.fileSystem(request.resource() ?? request.path)
      return !(try required.call(resource).isTrue())
    } catch {
      contents.logException("WSGI0108: Exception in reload_required of script '\(text(request.path))'.")
      return true
    }
  }

  private func text(_ path: UnsafeRawBufferPointer) -> String { String(decoding: path, as: UTF8.self) }

  private func load(_ request: Request) throws(ScriptFailure) -> LoadedScript {
    let path = text(request.path)
    let adapter = contents.adapter
    adapter.host.log(.info, "Loading WSGI script '\(path)' into the \(contents.interpreter.label) \(adapter.place).")
    do throws(Raised) {
      let name = try contents.function("module_name").call(try PyRef.bytes(request.path))
      let file = try PyRef.fileSystem(request.path)
      let code: PyRef
      do throws(Raised) { code = try contents.function("compile_script").call(file) } catch {
        contents.logException("WSGI0105: Target WSGI script '\(path)' could not be read or compiled.", script: request.path)
        throw error
      }
      let stamp = try PyRef.int(Int(request.modified))
      let stampObject = contents.keep(stamp)
      let execute = try contents.function("execute_script")
      let module: PyRef
      // A service script does its work while it is loaded.
      let isService = adapter.settings.flag(EngineSettings.service)
      let running = isService ? nil : adapter.imports.begin(path, attachment, adapter)
      defer { if let running { adapter.imports.end(running) } }
      do throws(Raised) {
        module = try execute.call([code.object, name.object, file.object, stampObject])
      } catch {
        try logImportFailure(request.path)
        throw error
      }
      let namespace = try PythonCode.namespace(of: module.object)
      let script = LoadedScript(
        path: Array(request.path), module: KeptRef(module), namespace: namespace, stamp: stampObject,
        modified: request.modified)
      contents.scripts.replace(script)
      return script
    } catch {
      PythonException.clear()
      throw .notLoaded
    }
  }

  private func logImportFailure(_ script: UnsafeRawBufferPointer) throws(Raised) {
    guard let exception = PythonException.take() else { return }
    let path = text(script)
    if PythonException.isSystemExit(exception.object) {
      // How a service ends.
      if contents.adapter.settings.flag(EngineSettings.service) { return }
      contents.log(exception.object, "WSGI0107: SystemExit raised by WSGI script '\(path)' while it was loaded; ignored.")
    } else {
      contents.adapter.logHere(.error, "WSGI0109: Target WSGI script '\(path)' cannot be loaded as Python module.")
      contents.log(
        exception.object,
        "WSGI0174: Exception \(exception.object.typeName) while loading WSGI script '\(path)' into the "
          + "\(contents.interpreter.label).", script: script)
    }
  }
}
