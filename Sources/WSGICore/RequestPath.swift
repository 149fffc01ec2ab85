/// How a request's path is cut into the names that CGI has for its parts.
public enum RequestPath {
  private static let slash: UInt8 = 0x2F

  /// Where in the URI the script's name ends and the path info begins.
  ///
  /// The two are compared from their ends, a run of slashes in the URI counting as one, because httpd drops repeated slashes
  /// from the path info but not from the URI; then on to where the path segment ends.
  public static func scriptNameLength(uri: UnsafeRawBufferPointer, pathInfo: UnsafeRawBufferPointer) -> Int {
    guard !pathInfo.isEmpty else { return uri.count }
    var end = uri.count
    var left = pathInfo.count
    while end > 0, left > 0, uri[end - 1] == pathInfo[left - 1] {
      end -= 1
      left -= 1
      guard pathInfo[left] == slash else { continue }
      while end > 0, uri[end - 1] == slash { end -= 1 }
    }
    if end > 0, left > 0 { end -= 1 }
    while end < uri.count, uri[end] != slash { end += 1 }
    return end
  }

  /// Calls `body` with the path, every run of slashes in it made one.
  public static func withCollapsedSlashes(_ path: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
    guard hasRepeatedSlash(path) else {
      body(path)
      return
    }
    withUnsafeTemporaryAllocation(byteCount: path.count, alignment: 1) { buffer in
      var count = 0
      for byte in path where !(byte == slash && count > 0 && buffer[count - 1] == slash) {
        buffer[count] = byte
        count += 1
      }
      body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer).prefix(count)))
    }
  }

  private static func hasRepeatedSlash(_ path: UnsafeRawBufferPointer) -> Bool {
    var previous: UInt8 = 0
    for byte in path {
      if byte == slash, previous == slash { return true }
      previous = byte
    }
    return false
  }

  /// The second word of a request line.
  public static func target(ofRequestLine line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    var start = 0
    while start < line.count, !isSpace(line[start]) { start += 1 }
    while start < line.count, isSpace(line[start]) { start += 1 }
    var end = start
    while end < line.count, !isSpace(line[end]) { end += 1 }
    return UnsafeRawBufferPointer(rebasing: line[start..<end])
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

  /// Calls `body` with the number's digits.
  public static func withDecimal(_ number: UInt32, _ body: (UnsafeRawBufferPointer) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: 10, alignment: 1) { buffer in
      var start = 10
      var rest = number
      repeat {
        start -= 1
        buffer[start] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0
      body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[start..<10]))
    }
  }
}
