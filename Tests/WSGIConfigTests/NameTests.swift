import Testing

@testable import WSGIConfig

@Suite struct NameTests {
  struct Case: CustomTestStringConvertible {
    let text: String
    let use: NameTemplate.Use
    let expected: String
    var facts = TestFacts()
    var single = false
    var lowercase = false
    var testDescription: String { "\(use) \(text) \(facts.uri)" }
  }

  static let variables = ["name": "blog", "global": "%{GLOBAL}", "loop": "%{ENV:name}", "odd": "%{WHAT}", "server": "%{SERVER}"]

  static let cases: [Case] = [
    // The table of expansions.
    Case(text: "blog", use: .processGroup, expected: "blog"),
    Case(text: "%{GLOBAL}", use: .processGroup, expected: ""),
    Case(text: "%{GLOBAL}", use: .applicationGroup, expected: ""),
    Case(text: "%{GLOBAL}", use: .scriptInterpreter, expected: ""),
    Case(text: "%{GLOBAL}", use: .callable, expected: "application"),
    Case(text: "%{RESOURCE}", use: .processGroup, expected: "www.example.com|/app"),
    Case(text: "%{RESOURCE}", use: .applicationGroup, expected: "www.example.com|/app"),
    Case(text: "%{RESOURCE}", use: .scriptInterpreter, expected: "%{RESOURCE}"),
    Case(text: "%{RESOURCE}", use: .callable, expected: "application"),
    Case(text: "%{SERVER}", use: .applicationGroup, expected: "www.example.com"),
    Case(text: "%{SERVER}", use: .scriptInterpreter, expected: "www.example.com"),
    Case(text: "%{HOST}", use: .applicationGroup, expected: "alias.example.com"),
    Case(text: "%{HOST}", use: .scriptInterpreter, expected: "alias.example.com"),
    Case(text: "%{SERVER}", use: .callable, expected: "application"),
    Case(text: "%{WHAT}", use: .applicationGroup, expected: "%{WHAT}"),
    Case(text: "%{WHAT}", use: .callable, expected: "application"),
    Case(text: "foo-%{SERVER}", use: .applicationGroup, expected: "foo-%{SERVER}"),
    Case(text: "%{SERVER}-foo", use: .applicationGroup, expected: "%{SERVER}-foo"),
    // Ports: 80 and 443 go without saying.
    Case(text: "%{SERVER}", use: .processGroup, expected: "www.example.com:8080", facts: TestFacts(port: 8080)),
    Case(text: "%{SERVER}", use: .processGroup, expected: "www.example.com", facts: TestFacts(port: 443)),
    Case(text: "%{HOST}", use: .processGroup, expected: "alias.example.com", facts: TestFacts(port: 81)),
    Case(text: "%{HOST}", use: .processGroup, expected: "alias.example.com", facts: TestFacts(host: "ALIAS.Example.com..")),
    Case(text: "%{HOST}", use: .processGroup, expected: "www.example.com", facts: TestFacts(host: "")),
    // Scripts.
    Case(text: "%{RESOURCE}", use: .applicationGroup, expected: "www.example.com|", facts: TestFacts(uri: "/", pathInfo: "/")),
    Case(
      text: "%{RESOURCE}", use: .applicationGroup, expected: "www.example.com|/app/",
      facts: TestFacts(uri: "/app/", pathInfo: "")),
    Case(
      text: "%{RESOURCE}", use: .applicationGroup, expected: "www.example.com|/a/app",
      facts: TestFacts(uri: "//a///app//x//y", pathInfo: "/x/y")),
    Case(
      text: "%{RESOURCE}", use: .applicationGroup, expected: "www.example.com|",
      facts: TestFacts(uri: "//a/b", pathInfo: "/a/b")),
    Case(
      text: "%{RESOURCE}", use: .applicationGroup, expected: "www.example.com|/app/other",
      facts: TestFacts(uri: "/app/other", pathInfo: "/page")),
    Case(
      text: "%{RESOURCE}", use: .applicationGroup, expected: "www.example.com|/app",
      facts: TestFacts(uri: "/App/Page", pathInfo: "/Page"), lowercase: true),
    // Variables.
    Case(text: "%{ENV:name}", use: .processGroup, expected: "blog", facts: TestFacts(variables: variables)),
    Case(text: "%{ENV:name}", use: .callable, expected: "blog", facts: TestFacts(variables: variables)),
    Case(text: "%{ENV:name}", use: .scriptInterpreter, expected: "%{ENV:name}", facts: TestFacts(variables: variables)),
    Case(text: "%{ENV:none}", use: .processGroup, expected: "%{ENV:none}", facts: TestFacts(variables: variables)),
    Case(text: "%{ENV:none}", use: .callable, expected: "application", facts: TestFacts(variables: variables)),
    Case(text: "%{ENV:global}", use: .applicationGroup, expected: "", facts: TestFacts(variables: variables)),
    Case(text: "%{ENV:server}", use: .applicationGroup, expected: "www.example.com", facts: TestFacts(variables: variables)),
    Case(text: "%{ENV:server}", use: .callable, expected: "application", facts: TestFacts(variables: variables)),
    Case(text: "%{ENV:loop}", use: .applicationGroup, expected: "%{ENV:name}", facts: TestFacts(variables: variables)),
    Case(text: "%{ENV:odd}", use: .applicationGroup, expected: "%{WHAT}", facts: TestFacts(variables: variables)),
    // %{AUTO}.
    Case(text: "%{AUTO}", use: .applicationGroup, expected: "", single: true),
    Case(text: "%{AUTO}", use: .applicationGroup, expected: "www.example.com|/app"),
    Case(text: "%{AUTO}", use: .processGroup, expected: "%{AUTO}"),
  ]

  @Test(arguments: cases)
  func expands(_ test: Case) {
    let template = NameTemplate(ByteText(test.text), for: test.use)
    let name = template.name(for: test.use, test.facts, singleApplication: test.single, lowercase: test.lowercase)
    #expect(ByteText(name).description == test.expected)
  }

  @Test func ofAHostThereIsOneName() {
    for (text, name) in [
      ("Shop.Example.com:8080", "shop.example.com"), ("shop.example.com.", "shop.example.com"),
      ("localhost:1", "localhost"), ("[::1]:80", "[::1]"), ("::1", "::1"), ("Blog", "blog"), ("tenant:7", "tenant:7"),
      (":1", ":1"),
      ("a.b:x", "a.b:x"), ("%{ENV:X}", "%{ENV:X}"),
      ("My Shop", "My Shop"), ("A|/B", "A|/B"), ("", ""), (".", "."), ("host:1", "host"),
    ] {
      #expect(ByteText(HostName.normalized([UInt8](text.utf8), host: [UInt8]("host".utf8))).description == name, "\(text)")
    }
    #expect(ByteText(HostName.normalized([UInt8]("shop.:1".utf8), host: [UInt8]("shop".utf8))).description == "shop")
  }

  @Test func aFixedNameAsksNothingOfTheRequest() {
    for text in ["blog", "%{GLOBAL}", "%{WHAT}", "a%{SERVER}"] {
      #expect(NameTemplate(ByteText(text), for: .applicationGroup).fixedName != nil)
    }
    #expect(NameTemplate("%{SERVER}", for: .applicationGroup).fixedName == nil)
  }
}
