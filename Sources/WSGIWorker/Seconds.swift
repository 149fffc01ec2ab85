enum Seconds {
  /// Milliseconds as "1.5 s", for the log.
  static func text(_ milliseconds: Int64) -> String {
    let tenths = max(milliseconds, 0) / 100
    return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
  }
}
