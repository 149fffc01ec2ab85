/// The names that a Python file binds at its top level, as far as its lines tell.
struct PythonSource {
  private(set) var names: Set<String> = []
  private(set) var functions: Set<String> = []

  init(_ text: String) {
    // A list of imports may go on over lines, in parentheses.
    var list: String?
    for line in text.split(whereSeparator: \.isNewline) {
      if let begun = list {
        list = begun + " " + line
      } else if let start = Self.imports(line) {
        list = start
      } else {
        take(line)
      }
      guard let whole = list, !whole.contains("(") || whole.contains(")") else { continue }
      takeImports(whole)
      list = nil
    }
  }

  /// The one that serves requests.
  var callable: (name: String, isFactory: Bool)? {
    if let name = ["application", "app"].first(where: { names.contains($0) || functions.contains($0) }) { return (name, false) }
    if let name = ["create_app", "make_app"].first(where: { names.contains($0) || functions.contains($0) }) {
      return (name, true)
    }
    return nil
  }

  /// The names after `from x import`.
  private static func imports(_ line: Substring) -> String? {
    guard line.hasPrefix("from "), let found = line.firstRange(of: " import ") else { return nil }
    return String(line[found.upperBound...].prefix { $0 != "#" })
  }

  private mutating func takeImports(_ list: String) {
    for item in list.filter({ $0 != "(" && $0 != ")" }).split(separator: ",") {
      // `name` or `name as other`
      if let name = item.split(separator: " ").last { names.insert(String(name)) }
    }
  }

  private mutating func take(_ line: Substring) {
    for keyword in ["def ", "async def ", "class "] where line.hasPrefix(keyword) {
      functions.insert(Self.word(line.dropFirst(keyword.count)))
      return
    }
    let name = Self.word(line)
    let rest = line.dropFirst(name.count).drop { $0 == " " }
    if !name.isEmpty, rest.hasPrefix("=") && !rest.hasPrefix("==") || rest.hasPrefix(":") { names.insert(name) }
  }

  static func word(_ text: Substring) -> String {
    String(text.prefix { $0 == "_" || $0.isLetter || $0.isNumber })
  }

  static func isIdentifier(_ text: some StringProtocol) -> Bool {
    guard let first = text.first, !first.isNumber else { return false }
    return text.allSatisfy { $0 == "_" || $0.isLetter || $0.isNumber }
  }
}

extension Substring {
  /// Where a text is first found.
  fileprivate func firstRange(of text: String) -> Range<Index>? {
    indices.lazy.first { self[$0...].hasPrefix(text) }.map { $0..<index($0, offsetBy: text.count) }
  }
}
