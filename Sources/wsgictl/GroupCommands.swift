import ArgumentParser
import Glibc
import ProcessSupervision

struct ReloadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reload",
    abstract:
      "Have a process group load its code again, as when its scripts have changed: with the next request, and nothing is lost."
  )

  @Argument(help: "The name of a process group.")
  var group: String

  @Argument(help: "One of its application groups; %{GLOBAL} is the main interpreter. Without it, all.")
  var applicationGroup: String?

  @OptionGroup var socket: SocketOption

  func run() throws {
    let name = applicationGroup.map { $0 == "%{GLOBAL}" ? [] : Array($0.utf8) }
    try socket.server.ask(CommandRequest(.reload, group: Array(group.utf8), applicationGroup: name))
  }
}

struct RestartCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restart",
    abstract: "Replace the processes of a process group, or one. Requests that run have graceful-timeout; others wait.")

  @Argument(help: "The name of a process group, or the number of a process.")
  var target: String

  @OptionGroup var socket: SocketOption

  func run() throws {
    try socket.server.ask(CommandRequest(.restart, group: Array(target.utf8), pid: Int32(target) ?? 0))
  }
}

struct StopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stop",
    abstract: "Stop a process group until it is started, or httpd is: its requests are answered with 503.")

  @OptionGroup var target: HaltedGroup

  func run() throws { try target.halt(.stop) }
}

struct DrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Stop a process group when the requests that it has are answered.")

  @OptionGroup var target: HaltedGroup

  func run() throws { try target.halt(.drain) }
}

struct StartCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "start", abstract: "Start a process group that was stopped or drained.")

  @Argument(help: "The name of a process group.")
  var group: String

  @OptionGroup var socket: SocketOption

  func run() throws { try socket.server.ask(CommandRequest(.start, group: Array(group.utf8))) }
}

/// A process group that is to have no processes any more.
struct HaltedGroup: ParsableArguments {
  @Argument(help: "The name of a process group.")
  var group: String

  @Flag(help: "Do not wait until its processes have ended.")
  var noWait = false

  @OptionGroup var socket: SocketOption

  /// Asks how far it is this often, in microseconds.
  private static let pause: UInt32 = 100_000

  func halt(_ verb: CommandRequest.Verb) throws {
    let name = Array(group.utf8)
    try socket.server.ask(CommandRequest(verb, group: name))
    guard !noWait else { return }
    while true {
      let reports = GroupReport.list(try socket.server.ask(CommandRequest(.status, group: name)))
      guard let report = reports.first, !report.processes.isEmpty else { return }
      guard report.state == .stopped else { throw CommandFailure(.failed, "the group was started again before it had ended") }
      usleep(Self.pause)
    }
  }
}
