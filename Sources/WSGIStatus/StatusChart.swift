import RequestCounting

/// The last minutes of a group as small lines.
struct StatusChart {
  /// The last interval is not over, and would always show a drop.
  private let intervals: [RequestInterval]
  private static let step = 10
  private static let height: UInt64 = 100

  init(_ history: [RequestInterval]) { intervals = Array(history.dropLast()) }

  var isEmpty: Bool { !intervals.contains { $0.ended > 0 } }

  /// Requests, and in another colour those with a 5xx status.
  func rate(_ label: HTML) -> HTML {
    let most = max(peak, 1)
    let all = path(intervals.map(\.ended), most: most)
    let failed = intervals.map { $0.failed > 0 ? $0.failed : nil }
    let bad: HTML = intervals.contains { $0.failed > 0 } ? "<path class=\"failed\" d=\"\(path(failed, most: most))\"/>" : ""
    return svg(label, "<path d=\"\(all)\"/>\(bad)")
  }

  func latency(_ label: HTML) -> HTML {
    let means = intervals.map(\.mean)
    return svg(label, "<path class=\"latency\" d=\"\(path(means, most: max(slowest, 1)))\"/>")
  }

  /// The most requests of an interval.
  var peak: UInt64 { intervals.map(\.ended).max() ?? 0 }
  /// The longest mean of an interval, in microseconds.
  var slowest: UInt64 { intervals.compactMap(\.mean).max() ?? 0 }

  private func svg(_ label: HTML, _ content: HTML) -> HTML {
    let width = max(intervals.count - 1, 1) * StatusChart.step
    return """
      <svg viewBox="0 -4 \(width) 108" preserveAspectRatio="none" role="img" aria-label="\(label)">\(content)</svg>
      """
  }

  /// A line through the values; where there is none it breaks off.
  private func path(_ values: [UInt64?], most: UInt64) -> HTML {
    var text = ""
    var isDrawing = false
    for (index, value) in values.enumerated() {
      guard let value else {
        isDrawing = false
        continue
      }
      let (thousandth, overflows) = value.multipliedReportingOverflow(by: StatusChart.height)
      let y = StatusChart.height - (overflows ? StatusChart.height : min(thousandth / most, StatusChart.height))
      // A line to itself makes a single value a dot.
      text += isDrawing ? "L\(index * StatusChart.step) \(y)" : "M\(index * StatusChart.step) \(y)l0 0"
      isDrawing = true
    }
    return "\(text)"
  }
}
