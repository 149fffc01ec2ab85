/// The arguments of one directive, taken off from the left by httpd's word rules.
///
/// A word ends at white space. One that starts with a quote ends at the same quote; inside, a backslash before that quote or
/// before a backslash stands for the character. Outside quotes only a doubled backslash is an escape.
public struct ConfigLine {
  private let bytes: [UInt8]
  private var position = 0

  public init(_ arguments: ByteText) {
    bytes = arguments.bytes
    skipSpace()
  }

  public var isAtEnd: Bool { position >= bytes.count }

  /// What is left, for messages.
  public var rest: ByteText { ByteText(bytes[position...]) }

  /// The next word, nil at the end of the line. A quoted empty word is an empty text.
  public mutating func nextWord() -> ByteText? {
    guard !isAtEnd else { return nil }
    let word = takeWord()
    skipSpace()
    return word
  }

  /// The next `name=value`, nil at the end of the line. The value follows the sign directly and may be quoted.
  /// A word that has no name or no sign is thrown as it stands.
  public mutating func nextOption() throws(MalformedOption) -> (name: ByteText, value: ByteText)? {
    guard !isAtEnd else { return nil }
    var end = position
    while end < bytes.count, bytes[end] != Ascii.equals, !isSpace(bytes[end]) { end += 1 }
    guard end > position, end < bytes.count, bytes[end] == Ascii.equals else {
      throw MalformedOption(word: takeWord())
    }
    let name = ByteText(bytes[position..<end])
    position = end + 1
    let value = isAtEnd || isSpace(bytes[position]) ? ByteText([]) : takeWord()
    skipSpace()
    return (name, value)
  }

  /// A word where `name=value` was wanted.
  public struct MalformedOption: Error { public let word: ByteText }

  private mutating func skipSpace() {
    while position < bytes.count, isSpace(bytes[position]) { position += 1 }
  }

  private mutating func takeWord() -> ByteText {
    let first = bytes[position]
    let quote: UInt8? = first == Ascii.quote || first == Ascii.apostrophe ? first : nil
    if quote != nil { position += 1 }
    var word: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      if let quote, byte == quote {
        position += 1
        break
      }
      if quote == nil, isSpace(byte) { break }
      if byte == Ascii.backslash, position + 1 < bytes.count {
        let next = bytes[position + 1]
        if next == Ascii.backslash || (quote != nil && next == quote) {
          word.append(next)
          position += 2
          continue
        }
      }
      word.append(byte)
      position += 1
    }
    return ByteText(word)
  }
}
