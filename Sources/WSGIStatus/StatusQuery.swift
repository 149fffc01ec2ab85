/// What a request for the page asks for: its query string, and its Accept header where the former names no format. What else
/// they say is passed over.
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
