/// A piece of a page. Text that is put into it is escaped, unless it is a piece itself.
struct HTML: ExpressibleByStringInterpolation {
  private(set) var text: String

  init(stringLiteral text: String) { self.text = text }
  init(stringInterpolation: Interpolation) { text = stringInterpolation.text }
  /// The pieces, one after the other.
  init(_ pieces: [HTML], separator: String = "") { text = pieces.map(\.text).joined(separator: separator) }

  struct Interpolation: StringInterpolationProtocol {
    fileprivate var text = ""

    init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity) }

    mutating func appendLiteral(_ literal: String) { text += literal }
    mutating func appendInterpolation(_ piece: HTML) { text += piece.text }
    mutating func appendInterpolation(_ number: some BinaryInteger) { text += "\(number)" }

    /// Escapes for a place between tags, or within an attribute's double quotes. Control characters are replaced.
    mutating func appendInterpolation(_ string: String) {
      for scalar in string.unicodeScalars {
        switch scalar {
        case "&": text += "&amp;"
        case "<": text += "&lt;"
        case ">": text += "&gt;"
        case "\"": text += "&quot;"
        case "'": text += "&#39;"
        case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}": text += "\u{FFFD}"
        default: text.unicodeScalars.append(scalar)
        }
      }
    }
  }
}

// MARK: numbers as people read them

extension HTML {
  /// 1234567 as 1,234,567.
  static func grouped(_ number: UInt64) -> HTML {
    let digits = Array("\(number)")
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text += "," }
      text.append(digit)
    }
    return "\(text)"
  }

  /// Two units at the most: "3 d 4 h", "12 s"; below ten seconds with a tenth. Below zero is now.
  static func duration(_ microseconds: Int64) -> HTML {
    let tenths = max(0, microseconds) / 100_000
    let seconds = tenths / 10
    return switch seconds {
    case ..<10: "\(seconds).\(tenths % 10) s"
    case ..<60: "\(seconds) s"
    case ..<3600: "\(seconds / 60) min \(seconds % 60) s"
    case ..<86400: "\(seconds / 3600) h \(seconds / 60 % 60) min"
    default: "\(seconds / 86400) d \(seconds / 3600 % 24) h"
    }
  }

  /// Two digits or three, and a unit that suits them.
  static func latency(_ microseconds: UInt64?) -> HTML {
    guard let time = microseconds else { return "–" }
    return switch time {
    case ..<100: "&lt;0.1 <small>ms</small>"
    case ..<10_000: "\(time / 1000).\(time / 100 % 10) <small>ms</small>"
    case ..<1_000_000: "\(time / 1000) <small>ms</small>"
    default: "\(time / 1_000_000).\(time / 100_000 % 10) <small>s</small>"
    }
  }

  /// So many within so many seconds: those of a second, or of a minute where they are few.
  static func rate(_ number: UInt64, seconds: UInt64) -> HTML {
    let seconds = max(seconds, 1)
    if number < seconds { return "\(HTML.grouped(number &* 60 / seconds)) <small>/min</small>" }
    let (whole, rest) = number.quotientAndRemainder(dividingBy: seconds)
    return whole < 100 ? "\(whole).\(rest * 10 / seconds) <small>/s</small>" : "\(HTML.grouped(whole)) <small>/s</small>"
  }

  static func percent(_ thousandths: Int64) -> HTML { "\(max(thousandths, 0) / 10) %" }

  static func megabytes(_ bytes: UInt64) -> HTML { "\(bytes >> 20).\(((bytes & 0xF_FFFF) * 10) >> 20) MB" }

  /// "worker_died" as "worker died".
  static func words(_ name: String) -> HTML { "\(String(name.map { $0 == "_" ? " " : $0 }))" }

  /// The date and the time of day, UTC: "2026-03-01 04:05:06".
  static func clock(_ microseconds: Int64) -> HTML {
    let seconds = max(0, microseconds) / 1_000_000
    let (year, month, day) = date(days: seconds / 86400)
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(year)-\(two(month))-\(two(day)) \(two(seconds / 3600 % 24)):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
  }

  /// The day of the Gregorian calendar, counted from 1970-01-01. Years are counted from March, so that the leap day is the last
  /// of its year.
  private static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = days + 719_468
    let era = shifted / 146_097
    let ofEra = shifted % 146_097
    let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
    let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * ofYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, ofYear - (153 * shiftedMonth + 2) / 5 + 1)
  }
}
