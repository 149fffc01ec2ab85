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
  /// what follows is itself a `name=value`: then there is no value. `malformed`: the error for a word without name or sign.
  public mutating func nextOption(
    _ malformed: (ByteText) -> ConfigError
  ) throws(ConfigError) -> (name: ByteText, value: ByteText)? {
    guard !isAtEnd else { return nil }
    var end = position
    while end < bytes.count, bytes[end] != Ascii.equals, !isSpace(bytes[end]) { end += 1 }
    guard end > position, end < bytes.count, bytes[end] == Ascii.equals else {
      throw malformed(takeWord())
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
  mutating func nextSelector(_ malformed: (ByteText) -> ConfigError) throws(ConfigError) -> (name: ByteText, value: ByteText)? {
    guard !isAtEnd, quoteHere != nil else { return try nextOption(malformed) }
    let word = takeWord()
    skipSpace()
    guard let sign = word.bytes.firstIndex(of: Ascii.equals), sign > 0 else { throw malformed(word) }
    return (ByteText(word.bytes[..<sign]), ByteText(word.bytes[(sign + 1)...]))
  }

  /// The word that begins here, if one does, has a sign in it and no quote in front.
  private var isAtOption: Bool {
    !isAtEnd && quoteHere == nil && bytes[position...].prefix { !isSpace($0) }.contains(Ascii.equals)
  }

  /// The quote that begins a word here.
  private var quoteHere: UInt8? {
    bytes[position] == Ascii.quote || bytes[position] == Ascii.apostrophe ? bytes[position] : nil
  }

  private mutating func skipSpace() {
    while position < bytes.count, isSpace(bytes[position]) { position += 1 }
  }

  private mutating func takeWord() -> ByteText {
    guard !isAtEnd else { return ByteText([]) }
    let quote = quoteHere
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
