import CPosix
import Glibc
import Platform
import ProcessSupervision
import WSGICore

/// What httpd's parent process is to a generation. Its standard output is the log; standard input takes orders, one a line:
///
///   send X     put request X into the queue
///   shutdown   shut the queue down
///   finish     the configuration ends: close the write ends
///   stop       stop everything and exit
final class Parent {
  private let generation: SupervisorHandle
  private var writeEnd: Int32

  init() {
    var queue: [Int32] = [-1, -1]
    guard wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &queue) == 0, let program = realpath("/proc/self/exe", nil)
    else {
      _exit(1)
    }
    writeEnd = queue[0]
    var settings = WorkerSettings()
    settings.shutdownTimeout = 500
    var group = GroupPlan(
      name: "g", processes: Int(CommandLine.arguments[2]) ?? 1, settings: settings,
      program: Array(String(cString: program).utf8), arguments: [Array("(wsgi:g)".utf8)],
      environment: [Array("PROBE=\(CommandLine.arguments[3])".utf8)])
    let log: (LogRecord) -> Void = { say(String(decoding: $0.text, as: UTF8.self)) }
    group.log = log
    group.makeQueue = {
      var queue: [Int32] = [-1, -1]
      return wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &queue) == 0 ? (read: queue[1], write: queue[0]) : nil
    }
    guard let renewable = RenewableQueue.make((read: queue[1], write: queue[0])) else { _exit(1) }
    group.queue = renewable
    guard let made = SupervisorHandle(groups: [group], callbacks: SupervisorCallbacks(log: log)) else { _exit(1) }
    generation = made
  }

  func run() -> Never {
    // As httpd does, so that a test sees who is out of reach of its group's signals.
    setpgid(0, 0)
    start()
    var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    var input = ""
    while true {
      if poll(&entry, 1, 10) > 0 {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(0, &buffer, buffer.count)
        if count <= 0 { obey("stop") }
        input += String(decoding: buffer[0..<max(count, 0)], as: UTF8.self)
        while let end = input.firstIndex(of: "\n") {
          obey(String(input[..<end]))
          input = String(input[input.index(after: end)...])
        }
      }
      attend()
    }
  }

  private func start() {
    guard generation.start({}) == 0 else { _exit(1) }
    say("supervisor \(generation.pid)")
  }

  private func attend() {
    var end = wsgi_posix_end()
    guard generation.pid > 0, wsgi_posix_reap(generation.pid, &end) == 1 else { return }
    switch generation.hasEnded(code: end.signal == 0 ? end.code : nil) {
    case .discard:
      generation.discard()
      say("discarded")
      _exit(0)
    case .restart: start()
    }
  }

  private func obey(_ order: String) {
    let words = order.split(separator: " ", maxSplits: 1)
    switch words.first {
    case "send":
      generation.takeOverRenewedQueues()
      _ = String(words[1]).utf8CString.withUnsafeBytes { Glibc.send(writeEnd, $0.baseAddress, $0.count - 1, 0) }
    case "shutdown": shutdown(writeEnd, Int32(SHUT_RDWR))
    case "finish": generation.closeWriteEnds()
    case "stop":
      generation.orderStop()
      generation.waitForStop()
      say("stopped")
      _exit(0)
    default: break
    }
  }
}

func say(_ text: String) {
  let line = text + "\n"
  write(1, line, line.utf8.count)
}
