import WSGICore

/// Something that `doctor` has looked at.
struct Finding: Equatable {
  enum Level: String, CaseIterable {
    case ok, warn, fail
  }

  let level: Level
  /// One word for the thing that was looked at.
  let check: String
  let message: String
  var remedy = ""

  static func ok(_ check: String, _ message: String) -> Finding { Finding(level: .ok, check: check, message: message) }

  static func warn(_ check: String, _ message: String, _ remedy: String) -> Finding {
    Finding(level: .warn, check: check, message: message, remedy: remedy)
  }

  static func fail(_ check: String, _ message: String, _ remedy: String) -> Finding {
    Finding(level: .fail, check: check, message: message, remedy: remedy)
  }

  /// A line of doctor.py: level, check, message and remedy.
  init?(line: Substring) {
    let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 4, let level = Level(rawValue: parts[0]) else { return nil }
    self.init(level: level, check: parts[1], message: parts[2], remedy: parts[3])
  }

  private init(level: Level, check: String, message: String, remedy: String = "") {
    (self.level, self.check, self.message, self.remedy) = (level, check, Self.clean(message), Self.clean(remedy))
  }

  /// Logs and scripts may hold anything: a terminal gets text alone.
  private static func clean(_ text: String) -> String {
    String(text.unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? " " : Character($0) })
  }

  /// Of a part of the server.
  func titled(_ title: String) -> Finding {
    Finding(level: level, check: check, message: "\(title): \(message)", remedy: remedy)
  }

  var line: String {
    let name = (level.rawValue + "    ").prefix(5)
    return "\(name)\(check): \(message)\(remedy.isEmpty ? "" : "; \(remedy)")\n"
  }

  static func json(_ findings: [Finding]) -> String {
    let rows = findings.map { finding in
      let pairs = [
        ("level", finding.level.rawValue), ("check", finding.check), ("message", finding.message), ("remedy", finding.remedy),
      ]
      return "{" + pairs.map { "\(quoted($0.0)): \(quoted($0.1))" }.joined(separator: ", ") + "}"
    }
    return "[" + rows.joined(separator: ",\n ") + "]\n"
  }

  private static func quoted(_ text: String) -> String {
    "\"" + text.reduce(into: "") { $0 += $1 == "\"" || $1 == "\\" ? "\\\($1)" : String($1) } + "\""
  }
}
