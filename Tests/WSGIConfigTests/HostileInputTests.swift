import Testing
import WSGICore

@testable import WSGIConfig

/// The httpd parent runs as root and reads configuration with this code: no line may end it.
@Suite struct HostileInputTests {
  /// A generator that gives the same numbers in each run.
  struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state
    }
  }

  static let pieces = [
    "", " ", "\t", "\"", "'", "\\", "=", "%{", "}", "%{ENV:", "%{GLOBAL}", "%{ENV:}", "$1", "$", "/", "//", ":", ",", "#", "-",
    "+", ">",
    "<", "0", "9223372036854775807", "-9223372036854775808", "99999999999999999999", "1e9999", ".", "K", "ms", "h", "On", "auto",
    "a", "é", "\u{7F}", "process-group=", "application-group=", "user=", "threads=", "python-path=", "restart-interval=",
    "supplementary-groups=", "::", "1.2.3.4", "/33", "ffff", "unix:/x", "interval=", "random", "CaptureUserAgent", "(((",
  ]

  @Test(arguments: Directive.table.map(\.name.description))
  func noLineEndsTheProcess(_ name: String) {
    var numbers = Numbers(state: 0x9E37_79B9_7F4A_7C15)
    for _ in 0..<200 {
      var config = TestConfig()
      if Bool.random(using: &numbers) { config.path = "/srv" }
      config.read("WSGIDaemonProcess a")
      var line = name + " "
      for _ in 0..<Int.random(in: 0...8, using: &numbers) {
        line += HostileInputTests.pieces.randomElement(using: &numbers) ?? ""
      }
      config.read(line)
      let configuration = Configuration(
        global: config.global.value, servers: [ConfiguredServer(identity: .main, config: config.serverConfig.value)])
      let uri = [UInt8]("//a/b//".utf8)
      _ = AliasMatching.first(of: config.serverConfig.value.aliases, matching: uri.span) { _ in [0..<3, nil, 1..<99] }
      let facts = TestFacts(uri: "//a/b//", pathInfo: "/b//", variables: ["": "%{ENV:", "a": "%"])
      _ = configuration.destination(
        server: .main, config.serverConfig.value, config.directoryConfig.value, alias: config.serverConfig.value.aliases.first,
        handler: nil, facts)
      for group in config.global.value.groups { _ = config.global.value.settings(for: group, user: nil).encoded }
    }
  }

  @Test func bytesThatAreNoTextPassThrough() throws {
    var config = TestConfig()
    let directive = try #require(Directive.named("WSGIScriptAlias"))
    var parse = ConfigParse(
      location: ConfigLocation(file: "f", line: 1), server: .main, path: nil, isAccessFile: false,
      environment: config.environment,
      global: config.global, serverConfig: config.serverConfig, directoryConfig: config.directoryConfig)
    try directive.apply(ByteText([0x2F, 0xE9, 0x20, 0x2F, 0xFF, 0xFE]), to: &parse)
    #expect(config.serverConfig.value.aliases.first?.target == [0x2F, 0xFF, 0xFE])
    #expect(config.read("WSGIScriptAlias") != nil)
  }

  @Test func addressesAndHeadersOfClientsEndNothing() {
    var numbers = Numbers(state: 42)
    let characters = [UInt8]("0123456789abcdefABCDEF:./%[], \u{1}".utf8)
    let subnets = ["10.0.0.0/8", "fd00::/8"].compactMap { try? Subnet($0) }
    for _ in 0..<5_000 {
      let text = (0..<Int.random(in: 0...30, using: &numbers)).compactMap { _ in characters.randomElement(using: &numbers) }
      _ = try? Subnet(ByteText(text))
      _ = TrustedProxies.outcome(headers: ProxyHeader.known, proxies: subnets, peer: text) { _ in text }
    }
  }
}
