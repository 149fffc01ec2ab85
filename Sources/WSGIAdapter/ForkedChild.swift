import Glibc
import PythonRuntime
import WSGICore

// An application may fork, and the child do what it likes until it returns to the server: there it ends. It has the application's
// state and one thread, and descriptors that it shares with the server; the client, the queue and the callbacks are its parent's.
extension InterpreterContents {
  /// Ends the calling process, which `script` has forked, with the exit status that its exception stands for. Attached.
  func endForkedChild(_ script: String) -> Never {
    var status: Int32 = 0
    var level = LogLevel.warning
    if let exception = PythonException.take() {
      if PythonException.isSystemExit(exception.object) {
        status = InterpreterContents.exitStatus(exception.object)
        // A service script is a program of its own, whose children end so.
        if adapter.settings.isService { level = .info }
      } else {
        log(exception.object, "WSGI0174: Exception \(exception.object.typeName) in a process that WSGI script \(script) forked.")
        status = 1
      }
    }
    flushStandardStreams()
    adapter.host.log(
      level,
      "WSGI0600: Process \(getpid()), which WSGI script \(script) forked, returned to the server and was ended: its request "
        + "and its script belong to the parent. End child processes with os._exit().")
    _exit(status)
  }

  /// The exit status that Python derives from a SystemExit.
  private static func exitStatus(_ exception: PyObj) -> Int32 {
    PythonException.ignoring {
      let code = try exception.attribute("code")
      return code.object.isNone ? 0 : Int32(truncatingIfNeeded: try code.int())
    } ?? 1
  }
}

extension RequestRunner {
  /// Returns in the process that the request came to; not in one that the application has forked. Attached.
  @inline(__always)
  func endIfForked() {
    if Python.isForkedChild { contents.endForkedChild(scriptLabel) }
  }
}
