import ArgumentParser
import ProcessSupervision
import WSGICore

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show process groups and their processes: all that are yours, or one.")

  @Argument(help: "The name of a process group.")
  var group: String?

  @Flag(help: "Write JSON.")
  var json = false

  @OptionGroup var socket: SocketOption

  func run() throws {
    let answer = try socket.server.ask(CommandRequest(.status, group: Array((group ?? "").utf8)))
    let reports = GroupReport.list(answer)
    if json { return Output.write(JSON.object(["groups": .list(reports.map(\.json))]).text + "\n") }
    Output.write(StatusTables.groups(reports))
    if group != nil, let report = reports.first { Output.write("\n" + StatusTables.processes(report)) }
  }
}

/// Process groups for people.
enum StatusTables {
  static func groups(_ reports: [GroupReport]) -> String {
    guard !reports.isEmpty else { return "No process groups.\n" }
    let rows = reports.map { report in
      [
        Terminal.plain(report.name), Terminal.plain(report.user), report.state.rawValue,
        "\(report.group.ready)/\(report.group.wanted)", "\(report.busy)", "\(report.idle)", "\(report.requests)",
        memory(report.processes.compactMap(\.resident).reduce(0, +)), report.python ?? "-",
      ]
    }
    return Terminal.table(
      ["GROUP", "USER", "STATE", "PROCESSES", "BUSY", "IDLE", "REQUESTS", "MEMORY", "PYTHON"], rows, right: [3, 4, 5, 6, 7])
  }

  static func processes(_ report: GroupReport) -> String {
    let rows = report.processes.map { process in
      [
        "\(process.pid)", process.state.name, "\(process.busy)", "\(report.idle(process))", "\(process.requests)",
        process.oldest < 0 ? "-" : time(process.oldest / 1000), process.resident.map(memory) ?? "-", time(process.age),
      ]
    }
    return Terminal.table(
      ["PID", "STATE", "BUSY", "IDLE", "REQUESTS", "LONGEST", "MEMORY", "AGE"], rows, right: [0, 2, 3, 4, 5, 6, 7])
  }

  static func memory(_ bytes: Int64) -> String { bytes < 10 << 20 ? "\(bytes >> 10) KB" : "\(bytes >> 20) MB" }

  static func time(_ seconds: Int64) -> String {
    switch seconds {
    case ..<120: "\(seconds) s"
    case ..<7200: "\(seconds / 60) min"
    case ..<172_800: "\(seconds / 3600) h"
    default: "\(seconds / 86_400) d"
    }
  }
}
