import ArgumentParser
import Glibc

/// The administrator's and the tenant's command. Every verb is a type of its own, in a file of its own.
@main
struct Wsgictl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wsgictl", abstract: "Look at and control the WSGI process groups of an Apache httpd.",
    discussion: ExitStatus.discussion,
    subcommands: [
      StatusCommand.self, TopCommand.self, RequestsCommand.self, StacksCommand.self, ReloadCommand.self, RestartCommand.self,
      StopCommand.self, StartCommand.self, DrainCommand.self, DoctorCommand.self, ExplainCommand.self, ServeCommand.self,
      VersionCommand.self,
    ])

  static func main() {
    // A pipe that its reader has closed ends the command silently.
    signal(SIGPIPE, SIG_DFL)
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let failure as CommandFailure {
      failure.report()
      Glibc.exit(failure.status.rawValue)
    } catch  where exitCode(for: error) == .validationFailure {
      Output.write(fullMessage(for: error) + "\n", to: .error)
      Glibc.exit(ExitStatus.usage.rawValue)
    } catch {
      exit(withError: error)
    }
  }
}
