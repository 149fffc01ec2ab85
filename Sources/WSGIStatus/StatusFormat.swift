/// The ways to write a report down.
public enum StatusFormat: CaseIterable, Sendable {
  // In this order they are preferred where a client likes several as well.
  case html
  case json
  case openMetrics
  /// Prometheus' older text format.
  case prometheus

  public var contentType: String {
    switch self {
    case .html: "text/html; charset=utf-8"
    case .json: "application/json"
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
    }
  }

  /// The format that an Accept header asks for; HTML where it asks for none of them, as a page for people has it.
  public init(accepting header: String) {
    let ranges = header.split(separator: ",").compactMap { MediaRange($0) }
    self = .html
    var best = (weight: 0, exactness: Int.max)
    for format in Self.allCases {
      guard let liking = MediaRange(format.contentType[...])?.liking(of: ranges), liking > best else { continue }
      (self, best) = (format, liking)
    }
  }
}

/// An element of an Accept header (RFC 9110, 12.5.1), or a media type that may be asked for by one. Of its parameters `version`
/// alone tells formats apart; others, such as Prometheus' `escaping`, are passed over.
private struct MediaRange {
  private let type: String
  private let subtype: String
  private var version: String?
  /// In thousandths.
  private var weight = 1000

  init?(_ text: Substring) {
    let parts = text.split(separator: ";").map { $0.trimmed }
    let names = parts.first?.split(separator: "/", omittingEmptySubsequences: false) ?? []
    guard names.count == 2 else { return nil }
    type = names[0].lowercased()
    subtype = names[1].lowercased()
    for parameter in parts.dropFirst() {
      let pair = parameter.split(separator: "=", maxSplits: 1).map { $0.trimmed }
      guard pair.count == 2 else { continue }
      switch pair[0].lowercased() {
      case "q":
        guard let quality = Double(pair[1]), quality >= 0, quality <= 1 else { return nil }
        weight = Int(quality * 1000)
      case "version": version = pair[1].filter { $0 != "\"" }
      default: break
      }
    }
  }

  /// How well the ranges like this media type, as the most exact one that it falls under says. Of two that are liked as well
  /// the one that is named goes before the one that is only not excluded: `application/json, */*`.
  func liking(of ranges: [MediaRange]) -> (weight: Int, exactness: Int)? {
    let fitting = ranges.map { (exactness: $0.exactness(for: self), weight: $0.weight) }.filter { $0.exactness > 0 }
    return fitting.max { $0 < $1 }.map { ($0.weight, $0.exactness) }
  }

  private func exactness(for offer: MediaRange) -> Int {
    if let version { return type == offer.type && subtype == offer.subtype && version == offer.version ? 4 : 0 }
    if type == offer.type { return subtype == offer.subtype ? 3 : subtype == "*" ? 2 : 0 }
    return type == "*" && subtype == "*" ? 1 : 0
  }
}

extension Substring {
  fileprivate var trimmed: Substring {
    let blanks: Set<Character> = [" ", "\t"]
    let rest = drop { blanks.contains($0) }
    return rest.lastIndex { !blanks.contains($0) }.map { rest[...$0] } ?? ""
  }
}

/// The wishes of a request for the page: of its query string, and of its Accept header where the former names no format. Anything
/// else in them is ignored.
public struct StatusQuery: Equatable, Sendable {
  public var format: StatusFormat
  /// Seconds after which a browser asks again; 0: never.
  public var refresh = StatusQuery.ordinaryRefresh
  static let ordinaryRefresh = 5
  /// The page shows groups that have nothing to do.
  public var showsIdle = false
  /// Only this group is asked for.
  public var group: String?
  /// Whether this group takes requests is asked for, and nothing else.
  public var ready: String?

  public init(_ text: String, accept: String) {
    var named: StatusFormat?
    for part in text.split(separator: "&") {
      switch part {
      // Programs that are given names and values, Prometheus among them, write the sign as well.
      case "html", "html=": named = .html
      case "json", "json=": named = .json
      case "openmetrics", "openmetrics=": named = .openMetrics
      case "prometheus", "prometheus=": named = .prometheus
      case "idle": showsIdle = true
      default:
        if let value = part.value(of: "refresh"), let seconds = Int(value) { refresh = min(max(seconds, 0), 3600) }
        if let value = part.value(of: "group") { group = value.percentDecoded }
        if let value = part.value(of: "ready") { ready = value.percentDecoded }
      }
    }
    format = named ?? StatusFormat(accepting: accept)
  }
}

extension Substring {
  fileprivate func value(of name: String) -> Substring? { hasPrefix(name + "=") ? dropFirst(name.count + 1) : nil }

  /// A percent sign without two digits stands for itself, and so does a plus sign.
  fileprivate var percentDecoded: String {
    func digit(_ byte: UInt8) -> UInt8? { Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) } }
    var rest = utf8[...]
    var bytes: [UInt8] = []
    while let byte = rest.popFirst() {
      let next = rest.prefix(2).map { digit($0) }
      if byte == UInt8(ascii: "%"), next.count == 2, let high = next[0], let low = next[1] {
        bytes.append(high << 4 | low)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension String {
  /// For a query string.
  var percentEncoded: String {
    var text = ""
    for byte in utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "/"):
        text.unicodeScalars.append(Unicode.Scalar(byte))
      default: text += "%" + String(0x100 + Int(byte), radix: 16, uppercase: true).dropFirst()
      }
    }
    return text
  }
}
