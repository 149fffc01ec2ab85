/// The Python code that the adapter runs in an interpreter, as the build embeds it.
enum Bootstrap {
  /// The file name of its code in tracebacks, by which they are trimmed.
  static let file = "<mod_wsgi>"

  /// Executed once in every new interpreter.
  static var source: String { String(decoding: PackageResources.bootstrap_py, as: UTF8.self) }
  /// Executed where the first exception is logged: few processes ever need it.
  static var advice: String { String(decoding: PackageResources.advice_py, as: UTF8.self) }
}
