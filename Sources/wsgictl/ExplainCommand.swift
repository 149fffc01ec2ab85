import ArgumentParser

struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Print the manual's entry for a message of the log.")

  @Argument(help: "The message's number, as in the log: WSGI0146 (0146 and 146 mean the same).")
  var number: String

  func run() throws {
    guard let wanted = MessageList.number(number) else {
      throw ValidationError("'\(number)' is not the number of a message: WSGI0146 is one.")
    }
    guard let entry = MessageList.manual.entry(wanted) else {
      throw CommandFailure(.failed, "the manual has no message WSGI\(wanted)")
    }
    Output.write(entry.text(of: wanted))
  }
}
