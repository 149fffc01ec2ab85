/// Advice to an administrator about an extension module, or a function of Python's, that refuses to work where it was used.
struct InterpreterAdvice {
  /// A log line, with its number.
  let sentence: String
  /// "Module 'x'", as far as the traceback tells.
  let subject: String

  private enum Objection {
    /// It works in the main interpreter only.
    case subInterpreter
    /// CPython's own words, which also meet modules that work in sub-interpreters, but not in one with its own GIL.
    case loading
    /// One interpreter of a process can load it, once.
    case secondTime
  }

  private static let loading = " does not support loading in subinterpreters"
  private static let refusals: [(words: String, kind: Objection)] = [
    (loading, .loading),
    // PyO3 (cryptography, bcrypt, pydantic_core, orjson), before and after its release 0.19.
    ("may only be initialized once per interpreter process", .subInterpreter),
    ("do not yet support subinterpreters", .subInterpreter),
    // os.fork() and preexec_fn of subprocess.
    ("not supported for subinterpreters", .subInterpreter),
    ("not supported within subinterpreters", .subInterpreter),
    // NumPy: 2, and the releases before it.
    ("cannot load module more than once per process", .secondTime),
    ("already has a docstring", .secondTime),
    // Cython (lxml, gevent, pandas).
    ("Interpreter change detected", .secondTime),
    ("has already been imported. Re-initialisation is not supported", .secondTime),
    // pybind11.
    ("generic_type: type \"", .secondTime),
  ]

  /// - traceback: as Python formats it.
  /// - hasOwnGIL: of the sub-interpreter that raised it.
  init?(_ traceback: String, applicationGroup: [UInt8], isMain: Bool = false, hasOwnGIL: Bool) {
    let lines = traceback.split(separator: "\n")
    guard let index = lines.lastIndex(where: { InterpreterAdvice.refusal($0) != nil }),
      let refusal = InterpreterAdvice.refusal(lines[index]), !isMain || refusal == .secondTime
    else { return nil }
    let module = InterpreterAdvice.named(lines[index]) ?? InterpreterAdvice.imported(lines[..<index])
    subject = module.map { "Module '\($0)'" } ?? "An extension module"
    let group = String(decoding: applicationGroup, as: UTF8.self)
    let main = "Set 'WSGIApplicationGroup %{GLOBAL}' (or application-group=%{GLOBAL} on WSGIScriptAlias) for this application"
    switch refusal {
    case .secondTime:
      sentence =
        "WSGI0501: \(subject) can be loaded once in a process: another application group of this process, or a failed "
        + "attempt, has already loaded it. "
        + (isMain ? "Give" : "\(main), and give") + " each application that uses it a process group of its own."
    case .loading where hasOwnGIL:
      sentence =
        "WSGI0501: \(subject) does not work in an interpreter with a GIL of its own, such as application group '\(group)'. "
        + "Set 'WSGIPerInterpreterGIL Off' for it in <WSGIInterpreterOptions application-group=\(group)>; if it works in no "
        + "sub-interpreter at all: \(main)."
    case .loading, .subInterpreter:
      sentence =
        "WSGI0501: \(subject) works in Python's main interpreter only, and application group '\(group)' is a "
        + "sub-interpreter. \(main)."
    }
  }

  private static func refusal(_ line: Substring) -> Objection? { refusals.first { line.contains($0.words) }?.kind }

  /// `ImportError: module _x.y does not support loading in subinterpreters`
  private static func named(_ line: Substring) -> Substring? {
    guard let end = line.firstRange(of: loading), let start = line.firstRange(of: "module "),
      start.upperBound <= end.lowerBound
    else { return nil }
    return line[start.upperBound..<end.lowerBound]
  }

  /// The module of the last import statement in the traceback that gives a whole name: `from x.y import z`.
  private static func imported(_ lines: ArraySlice<Substring>) -> Substring? {
    for line in lines.reversed() {
      let words = line.split(separator: " ", maxSplits: 2)
      guard words.count >= 2, words[0] == "import" || words[0] == "from" else { continue }
      let name = words[1].prefix { $0 != "," && $0 != ";" }
      if !name.isEmpty, !name.hasPrefix(".") { return name }
    }
    return nil
  }
}
