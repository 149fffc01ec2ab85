import RequestCounting
/// One figure that the status page tells of a `Subject`: the report itself, a process group, or a process.  JSON, metrics, the
/// page and the manual are written from the same rows (`figures` of the subject).
struct StatusFigure<Subject>: Sendable {
  /// Its key in JSON; nil where JSON tells it otherwise.
  let key: String?
  /// Its name for people: the heading of a column, or of a fact of a group.
  let label: String?
  let metric: Metric?
  /// A sentence for metrics and the manual.
  let help: String
  let value: @Sendable (Subject) -> FigureValue

  init(
    _ key: String?, label: String? = nil, metric: Metric? = nil, _ help: String,
    _ value: @escaping @Sendable (Subject) -> FigureValue
  ) {
    self.key = key
    self.label = label
    self.metric = metric
    self.help = help
    self.value = value
  }
}

struct Metric: Sendable {
  enum Kind: String, Sendable {
    case gauge, counter, histogram
  }

  enum Label: Sendable {
    /// A sample for each part of the figure. `values`: the parts, for the manual.
    case each(String, values: String)
    case fixed(String, String)
  }

  let kind: Kind
  /// Rows of one name stand together.
  let name: String
  let label: Label?
  /// 0 stands for a value that there is not; else such a sample is left out.
  let isNeverAbsent: Bool

  private init(_ kind: Kind, _ name: String, _ label: Label?, isNeverAbsent: Bool = false) {
    self.kind = kind
    self.name = name
    self.label = label
    self.isNeverAbsent = isNeverAbsent
  }

  static func gauge(_ name: String, _ label: Label? = nil, isNeverAbsent: Bool = false) -> Metric {
    Metric(.gauge, name, label, isNeverAbsent: isNeverAbsent)
  }
  static func counter(_ name: String, _ label: Label? = nil) -> Metric { Metric(.counter, name, label) }
  static func histogram(_ name: String) -> Metric { Metric(.histogram, name, nil) }

  /// OpenMetrics has the unit at the end of the name.
  var unit: String? { ["seconds", "bytes"].first { name.hasSuffix("_" + $0) } }
}

enum FigureValue {
  /// Not known, or nothing to tell.
  case absent
  case text(String)
  case flag(Bool)
  /// A number that names something.
  case number(Int64)
  case count(UInt64)
  /// Microseconds: a duration, or a point of time.
  case time(Int64)
  case bytes(UInt64)
  /// Counts by name; `total` where the sum is told too.
  case counts([(name: String, count: UInt64)], total: UInt64? = nil)
  case durations(RequestCounts)
  case object([(key: String, value: FigureValue)])
  case list([FigureValue])
  /// Thousandths.
  case share(Int64)
  /// One of several, as metrics tell it: with 1, and the others with 0. `more`: what JSON tells with it.
  case choice(String, of: [String], more: [(key: String, value: FigureValue)] = [])

  static func count(_ value: Int?) -> FigureValue { value.map { .count(UInt64(clamping: $0)) } ?? .absent }
  static func text(ifKnown value: String?) -> FigureValue { value.map { .text($0) } ?? .absent }
  static func time(ifKnown value: Int64?) -> FigureValue { value.map { .time($0) } ?? .absent }

  /// Something to be measured by, as opposed to a name.
  var isQuantity: Bool {
    switch self {
    case .text, .number, .choice: false
    default: true
    }
  }
}

extension StatusFigure {
  /// The figure's row in the manual.
  var row: String {
    let key = key.map { "`\($0)`" } ?? "–"
    guard let metric else { return "| \(key) | – | \(help) |" }
    let name = metric.kind == .counter ? metric.name + "_total" : metric.name
    let label =
      switch metric.label {
      case nil: ""
      case .fixed(let name, let value): ", `\(name)` `\(value)`"
      case .each(let name, let values): ", by `\(name)` (\(values))"
      }
    return "| \(key) | `\(name)`\(label) | \(help) |"
  }
}
