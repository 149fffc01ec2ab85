/// Times of the configuration, in milliseconds; 0 is off unless an option says otherwise.
public typealias Milliseconds = Int

/// The numbers that directives and options take. Anything but a number, or one too large, is nil: never a guess.
enum NumberSyntax {
  /// A decimal integer with an optional sign.
  static func integer(_ text: ByteText) -> Int? {
    var digits = text.bytes[...]
    let isNegative = digits.first == Ascii.minus
    if let sign = digits.first, sign == Ascii.minus || sign == Ascii.plus { digits = digits.dropFirst() }
    guard let magnitude = whole(digits, radix: 10) else { return nil }
    return isNegative ? 0 - magnitude : magnitude
  }

  /// Octal digits.
  static func octal(_ text: ByteText) -> Int? { whole(text.bytes[...], radix: 8) }

  /// Bytes: a number, followed by `K`, `M` or `G` (powers of 1024, either case) or by nothing.
  static func size(_ text: ByteText) -> Int? {
    let (number, unit) = splitUnit(text)
    let shifts: [ByteText: Int] = ["": 0, "k": 10, "m": 20, "g": 30]
    return shifts[unit].flatMap { scaled(number, by: 1 << $0) }
  }

  /// A time in milliseconds: a number followed by `ms`, `s`, `min` or `h`; by itself it is in the option's own unit.
  static func time(_ text: ByteText, plainUnit: Int) -> Milliseconds? {
    let (number, unit) = splitUnit(text)
    return milliseconds(in: unit, plainUnit: plainUnit).flatMap { scaled(number, by: $0) }
  }

  /// Seconds as a decimal number, perhaps with an exponent, perhaps followed by one of the units of `time`.
  static func seconds(_ text: ByteText) -> Double? {
    let (number, unit) = splitUnit(text)
    // Double also reads hexadecimal numbers, and words for what is not a number.
    guard number.bytes.allSatisfy({ isDigit($0) || "+-.eE".utf8.contains($0) }), let value = Double(number.description),
      let factor = milliseconds(in: unit, plainUnit: 1_000).map({ Double($0) / 1_000 }), (value * factor).isFinite
    else { return nil }
    return value * factor
  }

  private static func milliseconds(in unit: ByteText, plainUnit: Int) -> Int? {
    let units: [ByteText: Int] = ["": plainUnit, "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000]
    return units[unit]
  }

  /// A number and the letters after it, in lower case.
  private static func splitUnit(_ text: ByteText) -> (number: ByteText, unit: ByteText) {
    var end = text.bytes.endIndex
    while end > 0, isLetter(text.bytes[end - 1]) { end -= 1 }
    return (ByteText(text.bytes[..<end]), ByteText(text.bytes[end...].map(asciiLowercase)))
  }

  private static func scaled(_ number: ByteText, by factor: Int) -> Int? {
    guard let value = integer(number) else { return nil }
    let (product, overflow) = value.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
  }

  private static func whole(_ digits: ArraySlice<UInt8>, radix: Int) -> Int? {
    guard !digits.isEmpty else { return nil }
    var value = 0
    for byte in digits {
      let digit = Int(byte) - Int(Ascii.zero)
      guard digit >= 0, digit < radix else { return nil }
      let (shifted, tooLarge) = value.multipliedReportingOverflow(by: radix)
      let (sum, overflow) = shifted.addingReportingOverflow(digit)
      guard !tooLarge, !overflow else { return nil }
      value = sum
    }
    return value
  }

  static func isDigit(_ byte: UInt8) -> Bool { byte >= Ascii.zero && byte <= Ascii.nine }
  private static func isLetter(_ byte: UInt8) -> Bool {
    let lower = asciiLowercase(byte)
    return lower >= 0x61 && lower <= 0x7A
  }
}
