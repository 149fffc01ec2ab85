// Numbers as people read them.

extension TextBuilder {
  /// 1234567 as 1,234,567.
  mutating func appendGrouped(_ number: UInt64) {
    let digits = Array("\(number)".utf8)
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { self += "," }
      append(byte: digit)
    }
  }

  /// Two units at the most: "3 d 4 h", "12 s"; below ten seconds with a tenth. Below zero is now.
  mutating func appendDuration(_ microseconds: Int64) {
    let seconds = max(0, microseconds) / 1_000_000
    switch seconds {
    case ..<10:
      append(seconds)
      self += "."
      append(max(0, microseconds) / 100_000 % 10)
      self += " s"
    case ..<60:
      append(seconds)
      self += " s"
    case ..<3600:
      append(seconds / 60)
      self += " min "
      append(seconds % 60)
      self += " s"
    case ..<86400:
      append(seconds / 3600)
      self += " h "
      append(seconds / 60 % 60)
      self += " min"
    default:
      append(seconds / 86400)
      self += " d "
      append(seconds / 3600 % 24)
      self += " h"
    }
  }

  /// Two digits or three and a unit that suits them, as HTML.
  mutating func appendLatency(_ microseconds: UInt64?) {
    guard let microseconds else {
      self += "–"
      return
    }
    if microseconds < 100 {
      self += "&lt;0.1 <small>ms</small>"
    } else if microseconds < 10_000 {
      append(microseconds / 1000)
      self += "."
      append(microseconds / 100 % 10)
      self += " <small>ms</small>"
    } else if microseconds < 1_000_000 {
      append(microseconds / 1000)
      self += " <small>ms</small>"
    } else {
      append(microseconds / 1_000_000)
      self += "."
      append(microseconds / 100_000 % 10)
      self += " <small>s</small>"
    }
  }

  mutating func appendMegabytes(_ bytes: UInt64) {
    append(bytes >> 20)
    self += "."
    append(((bytes & 0xF_FFFF) * 10) >> 20)
    self += " MB"
  }

  /// "worker_died" as "worker died".
  mutating func appendWords(_ name: String) {
    for byte in name.utf8 { append(byte: byte == UInt8(ascii: "_") ? UInt8(ascii: " ") : byte) }
  }

  /// The date and the time of day, UTC: "2026-03-01 04:05:06".
  mutating func appendClock(_ microseconds: Int64) {
    let seconds = max(0, microseconds) / 1_000_000
    let (year, month, day) = TextBuilder.date(days: seconds / 86400)
    append(year)
    for (separator, number) in [
      ("-", month), ("-", day), (" ", seconds / 3600 % 24), (":", seconds / 60 % 60), (":", seconds % 60),
    ] {
      appendName(separator)
      if number < 10 { self += "0" }
      append(number)
    }
  }

  /// The day of the Gregorian calendar, so many days after 1970-01-01. Years are counted from March, so that the leap day is
  /// the last of its year.
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

  private mutating func append(byte: UInt8) { append(bytes: CollectionOfOne(byte)) }
}
