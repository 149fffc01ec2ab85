import Testing
import WSGICore

@Suite struct LogPiecesTests {
  private static func pieces(_ text: String, room: Int = LogPieces.limit) -> [[UInt8]] {
    Array(text.utf8).withUnsafeBytes { bytes in LogPieces(bytes, room: room).map { Array($0) } }
  }

  @Test func aShortTextIsOnePiece() {
    #expect(Self.pieces("said") == [Array("said".utf8)])
    #expect(Self.pieces("") == [[]])
  }

  @Test(arguments: ["x", "é", "€", "😀", "x€", "a\u{8}\\é"], [16, 17, 100, 1023, LogPieces.limit])
  func nothingIsLostAndCharactersStayWhole(unit: String, room: Int) {
    let text = String(repeating: unit, count: 5000)
    let pieces = Self.pieces(text, room: room)
    #expect(pieces.joined().elementsEqual(text.utf8))
    for piece in pieces {
      #expect(String(validating: piece, as: UTF8.self) != nil)
      #expect(!piece.isEmpty && LogPieces.escapedSize(of: piece) <= room)
    }
  }

  @Test func aPieceIsNotCutAgain() {
    for piece in Self.pieces(String(repeating: "x€", count: 20_000)) {
      #expect(piece.withUnsafeBytes { LogPieces($0).map { Array($0) } } == [piece])
    }
  }

  @Test func bytesThatAreNotTextAreCutAnywhere() {
    let bytes = [UInt8](repeating: 0x80, count: 10_000)
    #expect(bytes.withUnsafeBytes { Array(LogPieces($0).joined()) } == bytes)
  }

  @Test func NULBytesBeginPieces() {
    #expect(Self.pieces("a\0\0b\0") == [Array("a".utf8), Array("b".utf8)])
    #expect(Self.pieces("\0b") == [[], Array("b".utf8)])
  }

  @Test func aLineWithoutAnEndKeepsItsLastPiece() {
    var given: [UInt8] = []
    let line = [UInt8](repeating: 0x78, count: LogPieces.limit * 2 + 5)
    let last = line.withUnsafeBytes { LogPieces.last(of: $0) { given += $0 } }
    #expect(given.count == LogPieces.limit * 2 && last.count == 5)
  }

  @Test(arguments: [(Int.min, LogLevel.alert), (0, .alert), (1, .alert), (4, .warning), (1 << 40, LogLevel(clamping: 15))])
  func levelsOfOthersAreClamped(raw: Int, level: LogLevel) {
    #expect(LogLevel(clamping: raw) == level)
    #expect(LogLevel.error < .warning)
  }

  @Test(arguments: [FlatFailure.truncated, .badMagic, .tooMany, .trailingBytes]) func failuresAreSentences(failure: FlatFailure) {
    #expect("\(failure)".contains(" "))
  }
}
