/// What an administrator can do about an extension module that refuses to work in a sub-interpreter.
struct InterpreterAdvice {
  /// A log line, with its number.
  let sentence: String

  /// CPython's own refusal, which also modules get that work in sub-interpreters but not with a GIL beside theirs.
  private static let refusal = " does not support loading in subinterpreters"
  /// The refusals of PyO3 and Cython.
  private static let others = [
    "may only be initialized once per interpreter process", "do not yet support subinterpreters", "Interpreter change detected",
  ]

  /// - traceback: as Python formats it.
  /// - hasOwnGIL: of the sub-interpreter that raised it.
  init?(_ traceback: String, applicationGroup: [UInt8], hasOwnGIL: Bool) {
    let lines = traceback.split(separator: "\n")
    guard let index = lines.lastIndex(where: { InterpreterAdvice.isRefusal($0) }) else { return nil }
    let module = InterpreterAdvice.named(lines[index]) ?? InterpreterAdvice.imported(lines[..<index])
    let subject = module.map { "Module '\($0)'" } ?? "An extension module"
    let group = String(decoding: applicationGroup, as: UTF8.self)
    let main = "Set 'WSGIApplicationGroup %{GLOBAL}' (or application-group=%{GLOBAL} on WSGIScriptAlias) for this application."
    if hasOwnGIL, lines[index].contains(InterpreterAdvice.refusal) {
      sentence =
        "WSGI0501: \(subject) does not work in an interpreter with a GIL of its own, as application group '\(group)' has. "
        + "Set 'WSGIPerInterpreterGIL Off' for it in <WSGIInterpreterOptions application-group=\(group)>; if it then works in "
        + "no sub-interpreter at all: \(main)"
    } else {
      sentence =
        "WSGI0501: \(subject) works in Python's main interpreter only, and application group '\(group)' is a "
        + "sub-interpreter. \(main)"
    }
  }

  private static func isRefusal(_ line: Substring) -> Bool {
    line.contains(refusal) || others.contains { line.contains($0) }
  }

  /// `ImportError: module _x.y does not support loading in subinterpreters`
  private static func named(_ line: Substring) -> Substring? {
    guard let end = line.firstRange(of: refusal), let start = line.firstRange(of: "module "),
      start.upperBound <= end.lowerBound
    else { return nil }
    return line[start.upperBound..<end.lowerBound]
  }

  /// The last import statement that the traceback shows: `from x.y import z`.
  private static func imported(_ lines: ArraySlice<Substring>) -> Substring? {
    for line in lines.reversed() {
      let words = line.split(separator: " ", maxSplits: 2)
      guard words.count >= 2, words[0] == "import" || words[0] == "from" else { continue }
      let name = words[1].prefix { $0 != "," && $0 != ";" }
      if !name.isEmpty { return name }
    }
    return nil
  }
}
