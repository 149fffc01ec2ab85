import PythonRuntime

/// The Python code that the adapter runs in an interpreter, as the build embeds it.
enum Bootstrap {
  /// The file name of its code in tracebacks, by which they are trimmed.
  static let file = "<mod_wsgi>"

  /// Executed once in every new interpreter.
  static func code() throws(Raised) -> PyRef { try code("bootstrap.py", PackageResources.bootstrap_py) }
  /// Executed where the first exception is logged: few processes ever need it.
  static func advice() throws(Raised) -> PyRef { try code("advice.py", PackageResources.advice_py) }

  private static func code(_ name: String, _ source: @autoclosure () -> [UInt8]) throws(Raised) -> PyRef {
    if let code = PythonCode.precompiled(name) { return code }
    return try PythonCode.compile(String(decoding: source(), as: UTF8.self), file: file)
  }
}
