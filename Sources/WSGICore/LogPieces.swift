/// Cuts the text of a log record into pieces that its carrier has room for: a packet to the supervisor, a frame of a request's
/// channel, httpd's buffer. Characters of UTF-8 stay whole, and no byte is lost; NUL bytes, which end a text for httpd, begin a
/// new piece. A text without bytes is one piece.
public struct LogPieces: Sequence, IteratorProtocol {
  /// The most that httpd's buffer of 8 KB takes beside what it puts before a record itself, and what usually stands before its
  /// text. httpd escapes all but printable ASCII, so that this counts bytes as httpd writes them.
  public static let limit = 7168

  /// The text behind the last piece; nil at its end.
  public private(set) var rest: UnsafeRawBufferPointer?
  private let room: Int
  private let mostBytes: Int

  /// - room: what httpd has left for a piece.
  /// - mostBytes: what a carrier takes.
  public init(_ text: UnsafeRawBufferPointer, room: Int = limit, mostBytes: Int = limit) {
    rest = text
    self.room = Swift.max(room, 16)
    self.mostBytes = Swift.max(mostBytes, 16)
  }

  public mutating func next() -> UnsafeRawBufferPointer? {
    guard let text = rest else { return nil }
    var end = 0
    var size = 0
    while end < text.count, end < mostBytes, text[end] != 0 {
      size &+= LogPieces.escapedSize(text[end])
      guard size <= room else { break }
      end &+= 1
    }
    var behind = end
    if end < text.count, text[end] == 0 {
      while behind < text.count, text[behind] == 0 { behind &+= 1 }
    } else if end < text.count {
      // Three bytes at most continue a character.
      var start = end
      while start > 0, end &- start < 3, text[start] & 0xC0 == 0x80 { start &-= 1 }
      if start > 0, text[start] >= 0xC0 { end = start }
      behind = end
    }
    rest = behind < text.count ? UnsafeRawBufferPointer(rebasing: text[behind...]) : nil
    return UnsafeRawBufferPointer(rebasing: text[..<end])
  }

  /// Gives the pieces of a line that has no end yet, but for the last, which is the result. They are as long as a carrier allows,
  /// so that it is the carrier that cuts what httpd escapes.
  public static func last(of line: UnsafeRawBufferPointer, _ emit: (UnsafeRawBufferPointer) -> Void) -> [UInt8] {
    var last = UnsafeRawBufferPointer(start: nil, count: 0)
    for (index, piece) in LogPieces(line, room: .max).enumerated() {
      if index > 0 { emit(last) }
      last = piece
    }
    return Array(last)
  }

  /// How many bytes httpd writes for a text.
  public static func escapedSize(of text: some Sequence<UInt8>) -> Int { text.reduce(0) { $0 &+ escapedSize($1) } }

  private static func escapedSize(_ byte: UInt8) -> Int {
    switch byte {
    case 0x20...0x5B, 0x5D...0x7E: 1
    case 0x08...0x0B, 0x0D, 0x5C: 2
    default: 4
    }
  }
}
