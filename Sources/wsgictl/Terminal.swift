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
