import ArgumentParser
import Glibc
import Platform
import ProcessSupervision
import WSGICore

struct RequestsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "requests",
    abstract: "Show the requests that the processes of your process groups, or of one, run now, the oldest first.")

  @Argument(help: "The name of a process group.")
  var group: String?

  @Flag(help: "Write JSON.")
  var json = false

  @OptionGroup var socket: SocketOption

  /// Processes that are asked at a time, and how long those may keep an answer waiting, in milliseconds.
  private static let most = 64
  private static let patience: Int64 = 5000

  func run() throws {
    let answer = try socket.server.ask(CommandRequest(.status, group: Array((group ?? "").utf8)))
    var busy = GroupReport.list(answer).flatMap { report in
      report.processes.filter { $0.busy > 0 }.map { (group: report.name, pid: $0.pid) }
    }[...]
    var found: [RequestRow] = []
    while !busy.isEmpty {
      found += try requests(of: busy.prefix(Self.most))
      busy = busy.dropFirst(Self.most)
    }
    found.sort { $0.request.age > $1.request.age }
    if json { return Output.write(JSON.object(["requests": .list(found.map(\.json))]).text + "\n") }
    Output.write(found.isEmpty ? "No requests.\n" : RequestRow.table(found))
  }

  private func requests(of processes: ArraySlice<(group: String, pid: Int32)>) throws -> [RequestRow] {
    var sockets: [Int32] = []
    defer { for socket in sockets { close(socket) } }
    var asked: [(group: String, pid: Int32)] = []
    for process in processes where try ask(process.pid, &sockets) { asked.append(process) }
    let deadline = Clock.monotonicMilliseconds() &+ Self.patience
    var found: [RequestRow] = []
    for (process, socket) in zip(asked, sockets) {
      let left = max(0, deadline &- Clock.monotonicMilliseconds())
      let report = ProcessReport(reading: socket, milliseconds: left)
      if let requests = report.bytes.withUnsafeBytes({ CurrentRequest.decode($0) }) {
        found += requests.map { RequestRow(group: process.group, pid: process.pid, request: $0) }
      } else if !report.isWhole || !report.bytes.isEmpty {
        let name = Terminal.plain(process.group)
        Output.write("wsgictl: process \(process.pid) of process group '\(name)' does not answer\n", to: .error)
      }
    }
    return found
  }

  /// Has a process write its requests to a socket, which is added. False: it has ended.
  private func ask(_ pid: Int32, _ sockets: inout [Int32]) throws -> Bool {
    let before = sockets.count
    do {
      _ = try socket.server.ask(CommandRequest(.requests, pid: pid), passed: &sockets)
    } catch let failure as CommandFailure where failure.status == .noGroup {
      return false
    }
    return sockets.count == before + 1
  }
}

/// A request that runs, and where.
struct RequestRow {
  let group: String
  let pid: Int32
  let request: CurrentRequest

  /// So many characters of a path are shown in a table.
  private static let pathWidth = 60

  private var path: String {
    let text = Terminal.escaped(request.path)
    let isCut = request.isCut || text.count > Self.pathWidth
    return isCut ? text.prefix(Self.pathWidth - 1) + "…" : text.isEmpty ? "-" : text
  }

  static func table(_ requests: [RequestRow]) -> String {
    let rows = requests.map { one in
      let request = one.request
      return [
        request.method.isEmpty ? "-" : Terminal.escaped(request.method), one.path, StatusTables.time(request.age / 1000),
        Terminal.plain(one.group), "\(one.pid)", "\(request.thread)", request.id.isEmpty ? "-" : Terminal.escaped(request.id),
      ]
    }
    return Terminal.table(["METHOD", "PATH", "AGE", "GROUP", "PID", "THREAD", "ID"], rows, right: [2, 4, 5])
  }

  var json: JSON {
    .object([
      "method": .text(request.method), "path": .text(request.path), "cut": .bool(request.isCut), "age": .number(request.age),
      "group": .text(group), "pid": .number(Int64(pid)), "thread": .number(Int64(request.thread)),
      "id": request.id.isEmpty ? .null : .text(request.id),
    ])
  }
}

extension JSON {
  fileprivate static func text(_ bytes: [UInt8]) -> JSON { .text(String(decoding: bytes, as: UTF8.self)) }
}
