import Glibc
import Platform
import ProcessSupervision
import WSGICore

/// A process group and its processes, as the server has told of them, and what /proc adds.
struct GroupReport {
  let group: CommandAnswer.Group
  private(set) var processes: [CommandAnswer.Process] = []

  init(_ group: CommandAnswer.Group) { self.group = group }

  /// The groups of an answer, in its order.
  static func list(_ answer: [CommandAnswer]) -> [GroupReport] {
    var reports: [GroupReport] = []
    for part in answer {
      switch part {
      case .group(let group): reports.append(GroupReport(group))
      case .process(let process): if !reports.isEmpty { reports[reports.count - 1].processes.append(process) }
      default: break
      }
    }
    return reports
  }

  enum State: String {
    case serving, saturated, degraded, starting, sleeping, stopped, down, failed, service
  }

  var state: State {
    let flags = group.flags
    if flags.contains(.isStopped) { return .stopped }
    if flags.contains(.isImpossible) { return .failed }
    if flags.contains(.isService) { return .service }
    if group.ready == 0, group.wanted == 0 { return group.failures > 0 ? .down : .sleeping }
    if group.ready == 0 { return flags.contains(.isServed) ? .starting : .down }
    if flags.contains(.hasWaiting), idle == 0 { return .saturated }
    return group.ready < group.wanted ? .degraded : .serving
  }

  var name: String { String(decoding: group.name, as: UTF8.self) }

  var user: String {
    guard let entry = getpwuid(group.user) else { return "\(group.user)" }
    return String(cString: entry.pointee.pw_name)
  }

  func idle(_ process: CommandAnswer.Process) -> UInt32 {
    // One that drains takes no more requests, one whose GIL is contended for none now.
    process.state == .ready && !process.isSaturated && process.busy < group.threads ? group.threads - process.busy : 0
  }

  var busy: Int { processes.reduce(0) { $0 + Int($1.busy) } }
  var idle: Int { processes.reduce(0) { $0 + Int(idle($1)) } }
  var requests: UInt64 { processes.reduce(0) { $0 &+ $1.requests } }

  /// nil: no process of it has started Python.
  var python: String? { group.python.isEmpty ? nil : Terminal.plain(String(decoding: group.python, as: UTF8.self)) }

  // MARK: JSON

  var json: JSON {
    let python = python.map { JSON.text($0) } ?? .null
    return .object([
      "name": .text(name), "user": .text(user), "python": python, "state": .text(state.rawValue),
      "wanted": .number(Int64(group.wanted)), "threads": .number(Int64(group.threads)), "busy": .number(Int64(busy)),
      "idle": .number(Int64(idle)), "waiting": .bool(group.flags.contains(.hasWaiting)),
      "failures": .number(Int64(group.failures)), "processes": .list(processes.map(json)),
    ])
  }

  private func json(_ process: CommandAnswer.Process) -> JSON {
    .object([
      "pid": .number(Int64(process.pid)), "state": .text(process.state.name),
      "requests": .number(Int64(clamping: process.requests)), "busy": .number(Int64(process.busy)),
      "idle": .number(Int64(idle(process))), "rss": process.resident.map { .number($0) } ?? .null,
      "age": .number(process.age), "oldest": process.oldest < 0 ? .null : .number(process.oldest),
    ])
  }
}

extension CommandAnswer.Process {
  /// Resident bytes; nil: it has ended, or is hidden from this user.
  var resident: Int64? { ProcessMemory.resident(of: "\(pid)").map { Int64(clamping: $0) } }

  /// In seconds.
  var age: Int64 { max(0, Clock.epochMicroseconds() &- started) / 1_000_000 }
}
