import ArgumentParser
import Glibc
import ProcessSupervision

struct StacksCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stacks", abstract: "Print the Python stacks of all threads of a process group, or of one process.")

  @Argument(help: "The name of a process group, or the number of a process.")
  var target: String

  @OptionGroup var socket: SocketOption

  /// How long a process may keep its answer waiting, in milliseconds.
  private static let patience: Int64 = 10_000

  func run() throws {
    var sockets: [Int32] = []
    defer { for socket in sockets { close(socket) } }
    let request = CommandRequest(.stacks, group: Array(target.utf8), pid: Int32(target) ?? 0)
    let parts = try socket.server.ask(request, passed: &sockets)
    let processes = parts.compactMap { if case .report(let pid) = $0 { pid } else { nil } }
    guard !processes.isEmpty else { return Output.write("The group has no processes.\n") }
    for (process, socket) in zip(processes, sockets) {
      Output.write("Process \(process)\n")
      for line in text(socket).split(separator: "\n") { Output.write("  " + Terminal.plain(String(line)) + "\n") }
    }
  }

  private func text(_ socket: Int32) -> String {
    let report = ProcessReport(reading: socket, milliseconds: Self.patience)
    if report.bytes.isEmpty, report.isWhole { return "the process does not answer, or has ended" }
    return String(decoding: report.bytes, as: UTF8.self) + (report.isWhole ? "" : "the process does not answer")
  }
}
