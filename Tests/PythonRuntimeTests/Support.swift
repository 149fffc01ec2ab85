import PythonForTests
import PythonRuntime
import WSGIAdapter

/// Runs `body` attached to an application group's interpreter; an exception of Python's that it lets out is dropped.
func inPython<R>(_ group: String = "", _ body: (PythonRuntime.Attachment, borrowing GILToken) throws -> R) throws -> R {
  let python = Engine.adapter.python
  let attachment = try group.utf8.withContiguousStorageIfAvailable { name in
    try python.attachment(UnsafeRawBufferPointer(name))
  }
  guard let attachment else { throw InterpreterFailure.notConfigured }
  defer { python.release(attachment) }
  let result = attachment.run { gil -> Result<R, any Error> in
    do { return .success(try body(attachment, gil)) } catch {
      PythonException.clear()
      return .failure(error)
    }
  }
  return try result.get()
}

/// The value of a Python expression.
func evaluate(_ expression: String) throws -> PyRef {
  let namespace = try PyRef.dict()
  try namespace.object.setItem("__builtins__", PythonCode.builtins)
  let code = try PythonCode.compile("value = (\(expression))", file: "test")
  try PythonCode.run(code.object, in: namespace.object)
  let value = try namespace.object.item("value")
  guard let value else { throw Raised(.runtimeError, "no value") }
  return value.retained()
}

/// `repr` of an object.
func repr(_ object: PyObj) throws -> String {
  let text = try PythonCode.builtins.item("repr")?.call(object)
  return text?.text() ?? "?"
}

/// Takes the current exception: "ValueError: text".
func takeException() -> String {
  guard let exception = PythonException.take() else { return "none" }
  let text = PythonException.ignoring { try PyRef.describing(exception.object).text() }
  return "\(exception.object.typeName): \(text ?? "?")"
}
