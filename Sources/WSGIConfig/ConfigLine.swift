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

  /// The rest of the line, for messages.
  public var rest: ByteText { ByteText(bytes[position...]) }

  /// The next word, nil at the end of the line. A quoted empty word is an empty text.
  public mutating func nextWord() -> ByteText? {
    guard !isAtEnd else { return nil }
    let word = takeWord()
    skipSpace()
    return word
  }

  /// The next `name=value`, nil at the end of the line. The value may be quoted. White space may stand before it, unless
  /// what follows is itself a `name=value`: then there is no value. A word that has no name or no sign is thrown.
  public mutating func nextOption() throws(MalformedOption) -> (name: ByteText, value: ByteText)? {
    guard !isAtEnd else { return nil }
    var end = position
    while end < bytes.count, bytes[end] != Ascii.equals, !isSpace(bytes[end]) { end += 1 }
    guard end > position, end < bytes.count, bytes[end] == Ascii.equals else {
      throw MalformedOption(word: takeWord())
    }
    let name = ByteText(bytes[position..<end])
    position = end + 1
    var value = ByteText([])
    if !isAtEnd {
      let isDirect = !isSpace(bytes[position])
      skipSpace()
      if isDirect || !isAtOption { value = takeWord() }
    }
    skipSpace()
    return (name, value)
  }

  /// As `nextOption`, for a word that may also be quoted as a whole: `"name=value"`.
  mutating func nextSelector() throws(MalformedOption) -> (name: ByteText, value: ByteText)? {
    guard !isAtEnd, bytes[position] == Ascii.quote || bytes[position] == Ascii.apostrophe else { return try nextOption() }
    let word = takeWord()
    skipSpace()
    guard let sign = word.bytes.firstIndex(of: Ascii.equals), sign > 0 else { throw MalformedOption(word: word) }
    return (ByteText(word.bytes[..<sign]), ByteText(word.bytes[(sign + 1)...]))
  }

  /// A word where `name=value` was wanted.
  public struct MalformedOption: Error { public let word: ByteText }

  /// The word that begins here, if one does, has a sign in it and no quote in front.
  private var isAtOption: Bool {
    guard !isAtEnd, bytes[position] != Ascii.quote, bytes[position] != Ascii.apostrophe else { return false }
    return bytes[position...].prefix { !isSpace($0) }.contains(Ascii.equals)
  }

  private mutating func skipSpace() {
    while position < bytes.count, isSpace(bytes[position]) { position += 1 }
  }

  private mutating func takeWord() -> ByteText {
    guard !isAtEnd else { return ByteText([]) }
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
