import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

// How a request ends that does not end with a response: `close`, exceptions, warnings.

extension RequestRunner {
  /// Calls the iterable's `close`, once, whatever happened before.
  func close(_ iterable: PyObj) {
    let pending = PythonException.take()
    do throws(Raised) {
      if let method = try iterable.attributeIfPresent(contents.names.close) { _ = try method.call() }
    } catch {
      contents.logException("WSGI0194: Exception in close() of the response of WSGI script \(scriptLabel).")
    }
    if let pending { _ = Raised(pending) }
  }

  var scriptLabel: String {
    "'\(value(of: "SCRIPT_FILENAME").map { String(decoding: $0, as: UTF8.self) } ?? "?")'"
  }

  func handleException(_ request: RequestHead) -> RequestOutcome {
    endIfForked()
    guard let exception = PythonException.take() else { return failure(500) }
    publishException(exception.object)
    if PythonException.matches(exception.object, contents.requestTimeout) {
      contents.adapter.logHere(
        .info,
        isCommitted
          ? "Request interrupted by RequestTimeout; response truncated."
          : "Request interrupted by RequestTimeout; thread recovered.")
      var outcome = failure(504)
      outcome.interrupted = true
      return outcome
    }
    let kind = exception.object.typeName
    let place = "WSGI script \(scriptLabel) in the \(contents.interpreter.label)"
    if PythonException.isSystemExit(exception.object) {
      contents.log(exception.object, "WSGI0175: SystemExit raised by \(place); ignored.")
    } else {
      contents.log(exception.object, "WSGI0174: Exception \(kind) while processing \(place).", script: request.script)
    }
    return failure(500)
  }

  /// Says once in each interpreter that start_response replaced an earlier call's status and headers.
  func logRestart() {
    guard contents.restartWarning.isFirst else { return }
    contents.adapter.logHere(
      .warning,
      "WSGI0504: start_response() called again without exc_info before any output; PEP 3333 forbids that. "
        + "The last call takes effect.")
  }

  /// Says once in each interpreter that a header's name ended with a colon, which was dropped.
  func logColon(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    guard contents.colonWarning.isFirst else { return }
    contents.adapter.logHere(
      .warning,
      "WSGI0640: WSGI script \(scriptLabel) sends a header whose name ends with a colon, \(bytesLiteral(name)) with value "
        + "\(bytesLiteral(value)); dropping the colon. Not logged again.")
  }

  /// Says once in each interpreter that a header was dropped which only the server may send.
  func logDropped(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    guard contents.hopWarning.isFirst else { return }
    contents.adapter.logHere(
      .warning,
      "WSGI0641: WSGI script \(scriptLabel) sends header \(bytesLiteral(name)) with value \(bytesLiteral(value)), which only "
        + "the server may send; dropped, as are other headers that concern the connection. Not logged again.")
  }
}
