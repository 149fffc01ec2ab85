import Glibc

/// Text to the standard streams, as bytes and at once.
enum Output {
  enum Stream: Int32 {
    case standard = 1
    case error = 2
  }

  static func write(_ text: String, to stream: Stream = .standard) {
    var rest = ArraySlice(text.utf8)
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(stream.rawValue, $0.baseAddress, $0.count) }
      if count < 0, errno != EAGAIN { return }
      rest = rest.dropFirst(max(count, 0))
    }
  }
}
