import Glibc

/// Text for a terminal.
enum Terminal {
  /// Text of others, without anything that a terminal would obey.
  static func plain(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { scalar in
          switch scalar.properties.generalCategory {
          case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: "?"
          default: scalar
          }
        }))
  }

  /// Bytes of others as one word: what is not UTF-8, a space, or something that a terminal would obey is shown as `\xNN`.
  static func escaped(_ bytes: [UInt8]) -> String {
    var word = String.UnicodeScalarView()
    var parser = Unicode.UTF8.ForwardParser()
    var source = bytes.makeIterator()
    var start = 0
    while true {
      var length = 1
      switch parser.parseScalar(from: &source) {
      case .emptyInput: return String(word)
      case .error(let count): length = count
      case .valid(let encoded):
        let scalar = Unicode.UTF8.decode(encoded)
        if isPlain(scalar) {
          word.append(scalar)
          start += encoded.count
          continue
        }
        length = encoded.count
      }
      for byte in bytes[start..<start + length] {
        let digits = String(byte, radix: 16)
        word.append(contentsOf: ("\\x" + (digits.count < 2 ? "0" : "") + digits).unicodeScalars)
      }
      start += length
    }
  }

  /// Whether a scalar stands for itself in a word. The backslash does not: it begins what is escaped.
  private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .spaceSeparator, .surrogate: false
    default: scalar != "\\"
    }
  }

  /// Rows below a head, in columns as wide as they must be. Numbers are to the right.
  static func table(_ head: [String], _ rows: [[String]], right: Set<Int> = []) -> String {
    let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
    return ([head] + rows).map { row in
      let cells = row.enumerated().map { column, text in
        let space = String(repeating: " ", count: widths[column] - text.count)
        return right.contains(column) ? space + text : column == row.count - 1 ? text : text + space
      }
      return cells.joined(separator: "  ") + "\n"
    }.joined()
  }
}
