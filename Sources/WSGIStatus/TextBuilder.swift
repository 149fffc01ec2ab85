/// Puts a text together, byte by byte.
struct TextBuilder {
  fileprivate(set) var bytes: [UInt8] = []

  init() { bytes.reserveCapacity(16384) }

  /// Text that is part of the format itself.
  static func += (builder: inout TextBuilder, text: StaticString) {
    builder.bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func append<N: BinaryInteger>(_ number: N) { bytes.append(contentsOf: "\(number)".utf8) }

  /// Microseconds as decimal seconds: 1500000 is 1.5.
  mutating func appendSeconds<N: BinaryInteger>(_ microseconds: N) {
    if microseconds < 0 { self += "-" }
    let (seconds, fraction) = microseconds.magnitude.quotientAndRemainder(dividingBy: 1_000_000)
    append(seconds)
    guard fraction > 0 else { return }
    var digits = Array("\(fraction)".utf8)
    digits.insert(contentsOf: repeatElement(0x30, count: 6 - digits.count), at: 0)
    while digits.last == 0x30 { digits.removeLast() }
    self += "."
    bytes.append(contentsOf: digits)
  }

  /// Text from elsewhere as a JSON string, quotes included. Characters that HTML or a script would interpret are escaped too.
  mutating func appendJSON(_ text: String) {
    appendQuoted(text) { scalar in
      switch scalar {
      case "\"": "\\\""
      case "\\": "\\\\"
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "<", ">", "&", "\u{2028}", "\u{2029}":
        "\\u" + String(0x1_0000 + scalar.value, radix: 16).dropFirst()
      default: nil
      }
    }
  }

  /// Text from elsewhere as the value of a metric's label, quotes included.
  mutating func appendLabel(_ text: String) {
    appendQuoted(text) { scalar in
      switch scalar {
      case "\"": "\\\""
      case "\\": "\\\\"
      case "\n": "\\n"
      case "\r", "\u{0}": "\u{FFFD}"
      default: nil
      }
    }
  }

  /// `escape`: what stands for a character; nil: itself.
  private mutating func appendQuoted(_ text: String, _ escape: (Unicode.Scalar) -> String?) {
    self += "\""
    for scalar in text.unicodeScalars { appendName(escape(scalar) ?? String(scalar)) }
    self += "\""
  }

  /// A name of our own.
  mutating func appendName(_ name: String) { bytes.append(contentsOf: name.utf8) }
}
