/// The manual's list of messages: its tables' rows, each for one number or several.
struct MessageList {
  struct Entry: Equatable {
    let section: String
    /// `0139`, or the ends of a range.
    let numbers: [ClosedRange<Int>]
    let meaning: String
    let remedy: String

    func text(of number: String) -> String {
      "WSGI\(number) (\(section))\n\n\(Self.plain(meaning))\n\n\(Self.plain(remedy))\n"
    }

    /// Markdown's marks for code add nothing on a terminal.
    private static func plain(_ text: String) -> String { text.filter { $0 != "`" } }
  }

  let entries: [Entry]

  /// The file that the documentation has, put into this command by the build.
  static let manual = MessageList(String(decoding: PackageResources.messages_md, as: UTF8.self))

  init(_ markdown: String) {
    var section = ""
    var found: [Entry] = []
    for line in markdown.split(separator: "\n") {
      if line.hasPrefix("#") { section = line.drop { $0 == "#" || $0 == " " }.description }
      if let entry = Self.entry(line, section: section) { found.append(entry) }
    }
    entries = found
  }

  func entry(_ number: String) -> Entry? {
    guard let value = Int(number) else { return nil }
    return entries.first { $0.numbers.contains { $0.contains(value) } }
  }

  /// Four digits of what a user types: `WSGI0146`, `wsgi146`, `146`.
  static func number(_ text: String) -> String? {
    let digits = text.uppercased().hasPrefix("WSGI") ? text.dropFirst(4) : text[...]
    guard (1...4).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return String(repeating: "0", count: 4 - digits.utf8.count) + digits
  }

  private static func entry(_ line: Substring, section: String) -> Entry? {
    guard line.hasPrefix("| ") else { return nil }
    let cells = line.split(separator: "|").map { $0.drop { $0 == " " } }
    guard cells.count >= 3, let first = cells[0].first, first.isNumber else { return nil }
    let numbers = cells[0].split(separator: ",").compactMap { part -> ClosedRange<Int>? in
      let ends = part.split(separator: "–").compactMap { Int($0.filter(\.isNumber)) }
      guard let low = ends.first, let high = ends.last, low <= high else { return nil }
      return low...high
    }
    return Entry(
      section: section, numbers: numbers, meaning: trimmed(cells[1]), remedy: trimmed(cells[2...].joined(separator: "|")[...]))
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
