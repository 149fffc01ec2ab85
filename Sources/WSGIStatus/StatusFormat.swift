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
  public var refresh = 5

  public init(_ text: String, accept: String) {
    var named: StatusFormat?
    for part in text.split(separator: "&") {
      switch part {
      // Programs that are given names and values, Prometheus among them, write the sign as well.
      case "html", "html=": named = .html
      case "json", "json=": named = .json
      case "openmetrics", "openmetrics=": named = .openMetrics
      case "prometheus", "prometheus=": named = .prometheus
      default:
        if part.hasPrefix("refresh="), let seconds = Int(part.dropFirst("refresh=".count)) {
          refresh = min(max(seconds, 0), 3600)
        }
      }
    }
    format = named ?? StatusFormat(accepting: accept)
  }
}
