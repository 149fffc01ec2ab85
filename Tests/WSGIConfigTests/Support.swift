@testable import WSGIConfig

/// A system with two users and two groups.
func testEnvironment(isRoot: Bool = true) -> ParseEnvironment {
  let users = [
    UserRecord(name: "root", uid: 0, gid: 0, home: "/root"),
    UserRecord(name: "shop", uid: 1001, gid: 2001, home: "/srv/shop"),
  ]
  var system = ParseEnvironment()
  system.isRoot = isRoot
  system.userNamed = { name in users.first { $0.name == name } }
  system.userWithID = { uid in users.first { $0.uid == uid } }
  system.groupNamed = { ["www": 33, "staff": 50][$0.description] }
  system.hasGroupWithID = { $0 == 33 || $0 == 50 }
  system.compileRegex = { $0.contains("(((") ? nil : 1 }
  system.supplementaryGroupLimit = 4
  return system
}

/// A configuration that tests read line by line.
struct TestConfig {
  var server = ServerIdentity.main
  var path: ByteText?
  var isAccessFile = false
  var environment = testEnvironment()
  let global = Box(GlobalConfig())
  var serverConfig = Box(ServerConfig())
  var directoryConfig = Box(DirectoryConfig())
  var line = 0

  /// Applies a line; the message of its refusal, or nil.
  @discardableResult
  mutating func read(_ text: String) -> String? {
    line += 1
    let words = text.split(separator: " ", maxSplits: 1)
    guard let name = words.first, let directive = Directive.named(String(name)) else { return "Invalid command '\(text)'" }
    var parse = ConfigParse(
      location: ConfigLocation(file: "test.conf", line: line), server: server, path: path, isAccessFile: isAccessFile,
      environment: environment, global: global, serverConfig: serverConfig, directoryConfig: directoryConfig)
    do {
      try directive.apply(ByteText(words.count > 1 ? String(words[1]) : ""), to: &parse)
      return nil
    } catch {
      return error.message
    }
  }

  mutating func closeSection() {
    ConfigParse(
      location: ConfigLocation(file: "test.conf", line: line), server: server, path: path, isAccessFile: false,
      environment: environment, global: global, serverConfig: serverConfig, directoryConfig: directoryConfig
    ).closeInterpreterOptions()
  }
}

/// A request of a test.
struct TestFacts: RequestFacts {
  var serverName = "www.example.com"
  var host = "alias.example.com"
  var port: UInt32 = 80
  var uri = "/app/page"
  var pathInfo = "/page"
  var variables: [String: String] = [:]

  func appendServerName(to name: inout [UInt8]) { name += serverName.utf8 }
  func appendRequestHost(to name: inout [UInt8]) { name += host.utf8 }
  func appendURI(to name: inout [UInt8]) { name += uri.utf8 }
  func appendPathInfo(to name: inout [UInt8]) { name += pathInfo.utf8 }
  func appendVariable(_ variable: [UInt8], to name: inout [UInt8]) -> Bool {
    guard let value = variables[ByteText(variable).description] else { return false }
    name += value.utf8
    return true
  }
}
