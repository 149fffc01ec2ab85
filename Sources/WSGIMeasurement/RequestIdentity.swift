import WSGICore

/// Tells an administrator which request it was. Never has its query string.
struct RequestIdentity: Equatable {
  enum Field: Int, CaseIterable {
    case logID, method, scheme, hostname, scriptName, pathInfo, httpProtocol, peer, userAgent

    /// Where it stands in the environ, the path as it was before a proxy's headers were applied; and the bytes that are kept:
    /// what is longer ends in `...`.
    private var source: (key: StaticString, limit: Int) {
      switch self {
      case .logID: ("mod_wsgi.request_id", 63)
      case .method: ("REQUEST_METHOD", 15)
      case .scheme: ("REQUEST_SCHEME", 15)
      case .hostname: ("SERVER_NAME", 255)
      case .scriptName: ("mod_wsgi.script_name", 255)
      case .pathInfo: ("mod_wsgi.path_info", 511)
      case .httpProtocol: ("SERVER_PROTOCOL", 15)
      case .peer: ("REMOTE_ADDR", 45)
      case .userAgent: ("HTTP_USER_AGENT", 511)
      }
    }

    var key: StaticString { source.key }
    var limit: Int { source.limit }
    fileprivate var words: Int { 1 + (limit + 7) / 8 }
  }

  private var values: [[UInt8]] = []
  /// The httpd child that took the request.
  private(set) var serverPID: UInt64 = 0

  subscript(field: Field) -> [UInt8] { values.isEmpty ? [] : values[field.rawValue] }

  var path: String { (self[.scriptName] + self[.pathInfo]).text }

  // MARK: among watched words

  /// One word says that there is an identity, one is the pid; then each field's length and bytes.
  static let wordCount = 2 + Field.allCases.reduce(0) { $0 + $1.words }

  /// Writes what `value` gives for the keys of the environ; within an `update` of the words.
  static func write(to words: WatchedWords, at place: Int, agent: Bool, _ value: (StaticString) -> UnsafeRawBufferPointer?) {
    words[place] = 1
    words[place + 1] = number(value("mod_wsgi.server_pid"))
    var offset = place + 2
    for field in Field.allCases {
      let bytes = field == .userAgent && !agent ? nil : value(field.key)
      write(bytes ?? UnsafeRawBufferPointer(start: nil, count: 0), limit: field.limit, to: words, at: offset)
      offset += field.words
    }
  }

  private static func write(_ bytes: UnsafeRawBufferPointer, limit: Int, to words: WatchedWords, at place: Int) {
    let count = min(bytes.count, limit)
    let isCut = bytes.count > limit
    words[place] = UInt64(count)
    var index = 0
    while index < count {
      var word: UInt64 = 0
      for position in index..<min(index + 8, count) {
        let byte = isCut && position >= limit - 3 ? UInt8(ascii: ".") : bytes[position]
        word |= UInt64(byte) << UInt64((position - index) * 8)
      }
      words[place + 1 + index / 8] = word
      index += 8
    }
  }

  private static func number(_ text: UnsafeRawBufferPointer?) -> UInt64 {
    var result: UInt64 = 0
    for byte in text ?? UnsafeRawBufferPointer(start: nil, count: 0) {
      let digit = byte &- UInt8(ascii: "0")
      guard digit <= 9 else { return 0 }
      result = result &* 10 &+ UInt64(digit)
    }
    return result
  }

  /// Reads what `write` wrote, from a snapshot of the words.
  init(_ words: [UInt64], at place: Int) {
    guard words.count >= place + RequestIdentity.wordCount, words[place] == 1 else { return }
    serverPID = words[place + 1]
    var offset = place + 2
    for field in Field.allCases {
      let count = min(Int(clamping: words[offset]), field.limit)
      values.append((0..<count).map { UInt8(truncatingIfNeeded: words[offset + 1 + $0 / 8] >> UInt64($0 % 8 * 8)) })
      offset += field.words
    }
  }
}
