import ArgumentParser
import Glibc

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Look for what keeps applications from running, in a server that runs or is stopped.",
    discussion: """
      A line for each thing that was looked at: ok, warn or fail, and how to mend it. Run it as root, who may look at all of it. \
      Exit status: 0 all is well, 1 there are warnings, 2 something fails.
      """)

  @Option(help: ArgumentHelp("httpd's configuration. (default: that of the system's httpd)", valueName: "file"))
  var config: String?

  @Option(help: ArgumentHelp("The httpd to ask.", valueName: "file"))
  var httpdExecutable: String?

  @Flag(help: "Print a list of {level, check, message, remedy}.")
  var json = false

  func run() throws {
    let found = try Examination(httpd: ServeCommand.httpd(httpdExecutable), config: config.map { Files.absolute($0) }).run()
    Output.write(json ? Finding.json(found) : found.map(\.line).joined())
    if found.contains(where: { $0.level == .fail }) { throw ExitCode(2) }
    if found.contains(where: { $0.level == .warn }) { throw ExitCode(1) }
  }
}
