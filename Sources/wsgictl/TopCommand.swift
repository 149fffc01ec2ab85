import ArgumentParser
import Glibc
import ProcessSupervision

struct TopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top",
    abstract: "Show process groups as they are now, worst first, until interrupted; once without a terminal.")

  @Option(help: "Seconds between two looks.")
  var interval = 2

  @Flag(help: "Write JSON, once.")
  var json = false

  @OptionGroup var socket: SocketOption

  func validate() throws {
    guard (1...3600).contains(interval) else { throw ValidationError("--interval must be from 1 to 3600 seconds.") }
  }

  func run() throws {
    if json || isatty(STDOUT_FILENO) == 0 { return try show(look()) }
    var requests: [String: UInt64] = [:]
    while true {
      let reports = try look()
      // Home, the new text over the old one, and nothing of that below it.
      Output.write("\u{1B}[H\u{1B}[J")
      show(Array(reports.prefix(rows)))
      let sums = Dictionary(reports.map { ($0.name, $0.requests) }, uniquingKeysWith: { first, _ in first })
      let done = sums.reduce(UInt64(0)) { $0 &+ ($1.value &- min(requests[$1.key] ?? $1.value, $1.value)) }
      if !requests.isEmpty { Output.write("\n\(reports.count) groups, \(done / UInt64(interval)) requests a second\n") }
      requests = sums
      sleep(UInt32(interval))
    }
  }

  private func look() throws -> [GroupReport] {
    GroupReport.list(try socket.server.ask(CommandRequest(.status))).sorted { $0.urgency > $1.urgency }
  }

  private func show(_ reports: [GroupReport]) {
    if json {
      Output.write(JSON.object(["groups": .list(reports.map(\.json))]).text + "\n")
    } else {
      Output.write(StatusTables.groups(reports))
    }
  }

  /// Groups that the terminal has room for.
  private var rows: Int {
    var size = winsize()
    return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_row > 8 ? Int(size.ws_row) - 4 : 20
  }
}

extension GroupReport {
  /// Higher for groups that need an eye first: by state, then by how much there is to do.
  fileprivate var urgency: (Int, Int) {
    let order: [State] = [.sleeping, .service, .stopped, .serving, .starting, .degraded, .saturated, .down, .failed]
    return (order.firstIndex(of: state) ?? 0, busy)
  }
}
