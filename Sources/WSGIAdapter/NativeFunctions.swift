import Glibc
import PythonRuntime
import WSGICore
import WSGIMeasurement

/// The functions that the bootstrap and the `mod_wsgi` module call: one object of them in each interpreter.
final class NativeFunctions: NativeObject {
  static let methods: [StaticString] = [
    "log", "log_enabled", "stream", "request_data", "log_callback_exception", "server_metrics", "process_metrics",
    "request_metrics", "start_recording_metrics", "collector_event", "subscribed", "check_owner",
    "is_forked_child", "reload",
  ]

  /// Python may keep this object longer than its interpreter.
  let contents: InterpreterContents

  init(_ contents: InterpreterContents) { self.contents = contents }

  override func invoke(_ method: Int, _ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    switch method {
    case 0: return try log(arguments)
    case 1:
      let level = try (arguments[0] ?? .none).int()
      return .bool(LogLevel(clamping: level) <= contents.adapter.logLevelHere)
    case 2: return try stream(arguments)
    case 3:
      guard let data = RunningRequest.current?.requestData.object else {
        throw Raised(.runtimeError, "no active request for thread")
      }
      return data.retained()
    case 4:
      logCallbackException(arguments[0] ?? .none, arguments[1]?.text ?? "?")
      return .none()
    case 5...8:
      try arguments.expect(0...0, NativeFunctions.methods[method])
      switch method {
      case 5: return try contents.adapter.serverMetrics(gil)
      case 6: return try contents.adapter.processMetrics(gil)
      case 7: return try contents.adapter.requestMetrics(gil)
      default: contents.adapter.startRecording()
      }
    case 9: try contents.collects(arguments[0] ?? .none, arguments[1] ?? .none)
    case 11: try checkOwner(arguments)
    case 12: return .bool(Python.isForkedChild)
    case 13:
      try arguments.expect(0...0, "reload")
      return .bool(try contents.askForReload())
    default: contents.adapter.accounting.add(.events)
    }
    return .none()
  }

  /// log(level, text, file, line): a record a line.
  private func log(_ arguments: Arguments) throws(Raised) -> PyRef {
    try arguments.expect(4...4, "log")
    let level = LogLevel(clamping: try (arguments[0] ?? .none).int())
    let file = arguments[2]?.text
    let line = try (arguments[3] ?? .none).int()
    for part in (arguments[1]?.text ?? "").split(separator: "\n") {
      var part = String(part)
      part.withUTF8 { contents.adapter.logOwnerHere.log(level, UnsafeRawBufferPointer($0), file: file, line: line) }
    }
    return .none()
  }

  /// stream(name): the raw side of sys.stderr or sys.stdout.
  private func stream(_ arguments: Arguments) throws(Raised) -> PyRef {
    let stream = LogStream(contents.adapter, request: nil)
    contents.standardStreams.append(stream)
    let name: StaticString = arguments[0]?.text == "<stdout>" ? "<stdout>" : "<stderr>"
    return try contents.makeLog(stream, name)
  }

  private func logCallbackException(_ exception: PyObj, _ event: String) {
    if PythonException.isSystemExit(exception) {
      contents.log(exception, "WSGI0190: SystemExit raised by a callback for event '\(event)'; ignored.")
    } else {
      contents.log(exception, "WSGI0112: Exception in a callback for event '\(event)'.")
    }
  }

  /// check_owner(script, directory): raises where the process group runs no scripts of such an owner. It checks the descriptors
  /// that are read, not paths that may lead elsewhere a moment later.
  private func checkOwner(_ arguments: Arguments) throws(Raised) {
    try arguments.expect(2...2, "check_owner")
    let settings = contents.adapter.settings
    guard let owner = settings.scriptOwner else { return }
    let script = try ownership(arguments[0])
    let directory = try ownership(arguments[1])
    do throws(ScriptOwnershipFailure) { try owner.check(script: script, directory: directory) } catch {
      let message = owner.message(error, processGroup: settings.processGroup.text)
      contents.scriptRefusal = message
      throw Raised(.runtimeError, message)
    }
  }

  /// Nil where the descriptor cannot be looked at.
  private func ownership(_ descriptor: PyObj?) throws(Raised) -> FileOwnership? {
    var about = stat()
    guard fstat(Int32(clamping: try (descriptor ?? .none).int()), &about) == 0 else { return nil }
    return FileOwnership(user: about.st_uid, group: about.st_gid, mode: about.st_mode, links: UInt64(about.st_nlink))
  }
}
