import ArgumentParser
import Glibc
import Platform
import ProcessSupervision

struct StacksCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stacks", abstract: "Print the Python stacks of all threads of a process group, or of one process.")

  @Argument(help: "The name of a process group, or the number of a process.")
  var target: String

  @OptionGroup var socket: SocketOption

  /// The most that a process may write, and how long it may take over a part of that, in milliseconds.
  private static let limit = 8 << 20
  private static let patience: Int64 = 10_000

  func run() throws {
    var sockets: [Int32] = []
    defer { for socket in sockets { close(socket) } }
    let request = CommandRequest(.stacks, group: Array(target.utf8), pid: Int32(target) ?? 0)
    let parts = try socket.server.ask(request, passed: &sockets)
    let processes = parts.compactMap { if case .stacks(let pid) = $0 { pid } else { nil } }
    guard !processes.isEmpty else { return Output.write("The group has no processes.\n") }
    for (process, socket) in zip(processes, sockets) {
      Output.write("Process \(process)\n")
      for line in read(socket).split(separator: "\n") { Output.write("  " + Terminal.plain(String(line)) + "\n") }
    }
  }

  private func read(_ socket: Int32) -> String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while bytes.count < Self.limit {
      guard waitUntilReady(socket, for: readable, milliseconds: Self.patience).first != 0 else {
        bytes += Array("the process does not answer".utf8)
        break
      }
      let count = systemCall { recv(socket, &buffer, buffer.count, 0) }
      guard count > 0 else { break }
      bytes += buffer[..<count]
    }
    return bytes.isEmpty ? "the process does not answer, or has ended" : String(decoding: bytes, as: UTF8.self)
  }
}
