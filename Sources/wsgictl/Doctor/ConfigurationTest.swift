import Glibc

/// `httpd -t`, with what the module says of the configuration.
struct ConfigurationTest {
  /// One kind of line of the module's: its values by their names.
  typealias Values = [String: String]

  let status: Int32?
  private(set) var server: Values?
  private(set) var groups: [Values] = []
  private(set) var scripts: [Values] = []
  /// Its other lines.
  private(set) var messages: [String] = []

  private static let debian = "/etc/apache2/envvars"

  /// - file: the configuration; nil: httpd's own.
  init(_ httpd: String, _ file: String?, _ arguments: [String] = ["-D", "DUMP_WSGI"]) throws(CommandFailure) {
    var program = Program(path: httpd, arguments: ["-t"] + arguments + (file.map { ["-f", $0] } ?? []))
    // Debian's own configuration is made of variables that a script sets.
    if file == nil, Files.isFile(Self.debian) {
      program = Program(path: "/bin/sh", arguments: ["-c", ". \(Self.debian); exec \"$0\" \"$@\"", httpd] + program.arguments)
    }
    let (status, text) = try program.output(patience: 60_000)
    self.init(status: status, text)
  }

  init(status: Int32?, _ text: String) {
    self.status = status
    for line in text.split(whereSeparator: \.isNewline) {
      let words = line.split(separator: " ")
      switch words.first {
      case "wsgi-server": server = Self.values(words.dropFirst())
      case "wsgi-group": groups.append(Self.values(words.dropFirst()))
      case "wsgi-script": scripts.append(Self.values(words.dropFirst()))
      default: messages.append(String(line))
      }
    }
  }

  private static func values(_ words: ArraySlice<Substring>) -> Values {
    var values: Values = [:]
    for word in words {
      let pair = word.split(separator: "=", maxSplits: 1)
      if pair.count == 2 { values[String(pair[0])] = decoded(pair[1]) }
    }
    return values
  }

  private static func decoded(_ text: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == 0x25, rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Findings of its messages. `explain`: what to do about a number.
  func findings(_ explain: (String) -> String?) -> [Finding] {
    var found = complaints.map { message -> Finding in
      let number = LogNumber(in: message)
      let text = number?.text ?? message
      if Self.isOfMissingModule(message) {
        return .fail("module", text, "load the module: a2enmod wsgi, or LoadModule wsgi_module …/mod_wsgi.so")
      }
      let remedy = number.map { "wsgictl explain \($0.number)" + (explain($0.number).map { ": \($0)" } ?? "") }
      if status != 0 { return .fail("configuration", text, remedy ?? "correct that; httpd does not start before") }
      return .warn("configuration", text, remedy ?? "set ServerName in the main configuration")
    }
    if found.isEmpty, status == 0 { found.append(.ok("configuration", "httpd -t accepts it, without a warning of mod_wsgi")) }
    if found.isEmpty { found.append(.fail("configuration", "httpd -t did not end as it should", "run it by hand")) }
    return found
  }

  /// Messages that matter: httpd puts the place of an error on a line of its own in front.
  private var complaints: [String] {
    var found: [String] = []
    var place = ""
    for message in messages where message != "Syntax OK" && !message.contains("AH00014") {
      if message.contains("AH00526"), message.hasSuffix(":") {
        place = message + " "
      } else if status != 0 || LogNumber(in: message) != nil || message.contains("AH00558") {
        found.append(place + message)
        place = ""
      }
    }
    return found
  }

  private static func isOfMissingModule(_ message: String) -> Bool {
    ["Invalid command 'WSGI", "Invalid command '<WSGI", "Cannot find module wsgi"].contains { message.contains($0) }
  }
}

/// `WSGI0146` in a line, with what follows.
struct LogNumber {
  let number: String
  let text: String

  init?(in line: some StringProtocol) {
    var rest = Substring(line)
    while let place = rest.firstIndex(of: "W") {
      rest = rest[place...]
      let digits = rest.dropFirst(4).prefix(4)
      if rest.hasPrefix("WSGI"), digits.utf8.count == 4, digits.utf8.allSatisfy({ (48...57).contains($0) }) {
        number = "WSGI\(digits)"
        text = String(rest)
        return
      }
      rest = rest.dropFirst()
    }
    return nil
  }
}
