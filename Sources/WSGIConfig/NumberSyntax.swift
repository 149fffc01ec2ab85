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

  /// Bytes: a number with `K`, `M` or `G` behind it (powers of 1024, either case), or without.
  static func size(_ text: ByteText) -> Int? {
    let (number, unit) = splitUnit(text)
    let shift: Int
    switch unit {
    case "": shift = 0
    case "k": shift = 10
    case "m": shift = 20
    case "g": shift = 30
    default: return nil
    }
    return scaled(number, by: 1 << shift)
  }

  /// A time in milliseconds: a number with `ms`, `s`, `min` or `h` behind it, or without in the option's own unit.
  static func time(_ text: ByteText, plainUnit: Int) -> Milliseconds? {
    let (number, unit) = splitUnit(text)
    let factor: Int
    switch unit {
    case "": factor = plainUnit
    case "ms": factor = 1
    case "s": factor = 1_000
    case "min": factor = 60_000
    case "h": factor = 3_600_000
    default: return nil
    }
    return scaled(number, by: factor)
  }

  /// Seconds as a decimal number, perhaps with an exponent, or with one of the units of `time` behind it.
  static func seconds(_ text: ByteText) -> Double? {
    let end = decimalEnd(text.bytes)
    let factor: Double
    switch ByteText(text.bytes[end...].map(asciiLowercase)) {
    case "", "s": factor = 1
    case "ms": factor = 0.001
    case "min": factor = 60
    case "h": factor = 3_600
    default: return nil
    }
    guard let value = Double(String(decoding: text.bytes[..<end], as: UTF8.self)), (value * factor).isFinite else { return nil }
    return value * factor
  }

  /// Where the longest decimal number at the start of `bytes` ends; 0 where there is none.
  private static func decimalEnd(_ bytes: [UInt8]) -> Int {
    var end = 0
    if end < bytes.count, bytes[end] == Ascii.minus || bytes[end] == Ascii.plus { end += 1 }
    let integer = end
    while end < bytes.count, isDigit(bytes[end]) { end += 1 }
    var digits = end - integer
    if end < bytes.count, bytes[end] == Ascii.dot {
      end += 1
      let fraction = end
      while end < bytes.count, isDigit(bytes[end]) { end += 1 }
      digits += end - fraction
    }
    guard digits > 0 else { return 0 }
    guard end < bytes.count, asciiLowercase(bytes[end]) == 0x65 else { return end }
    var exponent = end + 1
    if exponent < bytes.count, bytes[exponent] == Ascii.minus || bytes[exponent] == Ascii.plus { exponent += 1 }
    let first = exponent
    while exponent < bytes.count, isDigit(bytes[exponent]) { exponent += 1 }
    return exponent > first ? exponent : end
  }

  /// A number and the letters behind it, in lower case.
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
