/// Numbered messages that the log has had since httpd started or was restarted.
enum LogChecks {
  private static let starts = ["AH00489", "AH00163", "AH00292", "AH00492", "AH00493"]
  private static let most = 20

  static func findings(_ path: String) -> [Finding] {
    findings(path, in: SystemChecks.tail(path))
  }

  /// The last of each number, with how often it is there.
  static func findings(_ path: String, in text: String) -> [Finding] {
    var order: [String] = []
    var last: [String: (text: String, count: Int)] = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      if starts.contains(where: { line.contains($0) }) { (order, last) = ([], [:]) }
      guard let found = LogNumber(in: line) else { continue }
      if last[found.number] == nil { order.append(found.number) }
      last[found.number] = (String(found.text.prefix(300)), (last[found.number]?.count ?? 0) + 1)
    }
    guard !order.isEmpty else { return [.ok("log", "\(path) has no numbered message since the last start")] }
    return order.suffix(most).compactMap { number in
      guard let entry = last[number] else { return nil }
      let remedy = MessageList.manual.entry(String(number.dropFirst(4)))?.remedy ?? ""
      let isMemory = entry.text.contains("Exception MemoryError")
      let times = entry.count > 1 ? " (\(entry.count) times)" : ""
      return .warn(
        "log", "\(path)\(times): \(entry.text)",
        isMemory ? "raise memory-limit=, or find out what takes so much" : remedy.filter { $0 != "`" })
    }
  }
}
