import Testing

@testable import wsgictl

@Suite struct MessageListTests {
  static let list = MessageList(
    """
    # Messages
    ## Python
    | Number | Meaning | Cause and remedy |
    | --- | --- | --- |
    | 0001 | no Python | Install `python3`. |
    | 0198, 0202 | no effect | It needs 3.12. |
    ## Requests
    | 0300–0302 | too many | Set `a|b`. |
    """)

  @Test func entryHasItsSectionAndPlainText() throws {
    let entry = try #require(Self.list.entry("0001"))
    #expect(entry.text(of: "0001") == "WSGI0001 (Python)\n\nno Python\n\nInstall python3.\n")
  }

  @Test(arguments: ["0198", "0202"]) func oneRowIsForSeveralNumbers(_ number: String) {
    #expect(Self.list.entry(number)?.meaning == "no effect")
  }

  @Test func rangesHaveAllTheirNumbers() {
    #expect(["0299", "0300", "0301", "0302", "0303"].map { Self.list.entry($0) != nil } == [false, true, true, true, false])
    #expect(Self.list.entry("0301")?.remedy == "Set `a|b`.")
  }

  @Test func numbersAreReadAsUsersTypeThem() {
    #expect(["WSGI0146", "wsgi146", "146", "0146"].map(MessageList.number) == Array(repeating: "0146", count: 4))
    #expect(["", "WSGI", "12345", "WSGI-1", "x", "+146"].map(MessageList.number) == Array(repeating: nil, count: 6))
  }

  @Test func manualIsInTheCommand() {
    #expect(MessageList.manual.entries.count > 100)
    #expect(MessageList.manual.entry("0146") != nil)
    #expect(MessageList.manual.entries.allSatisfy { !$0.section.isEmpty && !$0.meaning.isEmpty && !$0.remedy.isEmpty })
  }
}
