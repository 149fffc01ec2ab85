import CPosix
import Glibc
import ProcessSupervision
import WSGICore

// What a test has this process do: commands of the variable PROBE, separated by spaces, in order.
//
//   privileges        Privileges.drop, warnings to the log
//   say=X err=X       a line on stdout, on stderr
//   flood=N           N lines on stdout
//   ready             tell the supervisor so
//   fail=X            tell the supervisor why the start fails
//   exit=N signal=N   end
//   unless=F,C        command C unless file F exists, which it does afterwards
//   child             start a process that sleeps
//   stubborn          ignore orders to end
//   badload           a candidate's script does not load
//   noload            it neither loads nor fails to
//   answered          tell the supervisor so
//   leave             end of its own accord
//   spin              use CPU time
//   serve             take orders and requests until told to end
//   preload=X         in a preloader: be one, as X says, and go on with what follows in each worker that is forked (`fork`);
//                     end with a number; load for ever (`load`), answer no order (`wait`), refuse (`refuse`), name others (`lie`)
//                     or end at the order (`quit`), end before the fork says who it is (`die`)
final class Probe {
  let settings: WorkerSettings
  let channel = ControlChannel.ofWorker
  var isStubborn = false
  var loadsBadly = false
  var loadsNever = false
  /// Requests that are kept, by the script that they are for, in the order in which a reload was asked for.
  var pending: [(script: [UInt8], request: [UInt8])] = []
  var queues: [Int32] = []
  var takesRequests: Bool

  init(_ settings: WorkerSettings) {
    self.settings = settings
    takesRequests = settings.candidate == nil
    // As a worker does, which then keeps its count of requests there.
    _ = WorkerScoreboard.mapOwn(settings)
  }

  func run(_ command: Substring) {
    let words = command.split(separator: "=", maxSplits: 1)
    let argument = words.count > 1 ? String(words[1]) : ""
    switch words.first {
    case "privileges":
      for warning in Privileges.drop(settings) { channel.send(.log(LogRecord(level: .warning, text: Array(warning.utf8)))) }
    case "say": write(1, argument + "\n", argument.utf8.count + 1)
    case "err": write(2, argument, argument.utf8.count)
    case "flood": for number in 0..<(Int(argument) ?? 0) { run("say=\(number)") }
    case "ready": channel.send(.ready)
    case "fail": channel.send(.startFailed(argument))
    case "exit": _exit(Int32(argument) ?? 1)
    case "signal":
      signal(Int32(argument) ?? 9, SIG_DFL)
      kill(getpid(), Int32(argument) ?? 9)
    case "unless":
      let parts = argument.split(separator: ",", maxSplits: 1)
      let file = open(String(parts[0]), O_CREAT | O_EXCL | O_WRONLY, 0o644)
      if file >= 0, parts.count > 1 {
        close(file)
        run(parts[1])
      }
    case "child":
      if wsgi_posix_fork() == 0 {
        sleep(1000)
        _exit(0)
      }
    case "stubborn":
      isStubborn = true
      signal(SIGTERM, SIG_IGN)
    case "badload": loadsBadly = true
    case "noload": loadsNever = true
    case "answered":
      channel.send(.answered)
      settle()
    case "leave": end(.maximumRequests)
    case "spin": while true {}
    case "serve": serve()
    case "preload": break
    default: _exit(99)
    }
  }

  /// A test's requests are words: `note F` writes this process's id into file F, `changed S F [M]` does so in the process that
  /// has loaded script S anew, `failed S N F` in one that tries S again after failure N, `exit N` and `signal N` end the process.
  func answer(_ request: [UInt8]) {
    let words = String(decoding: request, as: UTF8.self).split(separator: " ").map(String.init)
    switch words.first {
    case "note":
      let file = open(words[1] + ".new", O_CREAT | O_WRONLY | O_TRUNC, 0o644)
      let number = "\(getpid())"
      write(file, number, number.utf8.count)
      close(file)
      rename(words[1] + ".new", words[1])
    case "changed":
      pending.append((Array(words[1].utf8), Array("note \(words[2])".utf8)))
      let modified = words.count > 3 ? Int64(words[3]) ?? 1 : 1
      channel.send(.reloadWanted(ScriptChange(script: Array(words[1].utf8), applicationGroup: [], modified: modified)))
    case "failed":
      pending.append((Array(words[1].utf8), Array("note \(words[3])".utf8)))
      let failure = UInt32(words[2]) ?? 0
      channel.send(.reloadWanted(ScriptChange(script: Array(words[1].utf8), applicationGroup: [], modified: 1, failure: failure)))
    case let command?: run("\(command)=\(words.dropFirst().joined(separator: "="))")
    case nil: break
    }
  }

  func end(_ reason: ShutdownReason) {
    guard !isStubborn else { return }
    channel.send(.draining(reason))
    for queue in queues { while takeRequest(from: queue, flags: 0) {} }
    channel.send(.ended(reason))
    _exit(0)
  }

  /// False at the end, or when nothing is there.
  func takeRequest(from queue: Int32, flags: Int32 = Int32(MSG_DONTWAIT)) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = recv(queue, &buffer, buffer.count, flags)
    guard count > 0 else {
      if count == 0, queue == WorkerDescriptor.queue.rawValue { end(.shutdownSignal) }
      return false
    }
    answer(Array(buffer[0..<count]))
    return true
  }

  func obey(_ order: ControlMessage, _ descriptor: Int32) {
    switch order {
    case .stop: end(.shutdownSignal)
    case .drain(let reason): end(reason)
    case .begin: takesRequests = true
    case .handOver:
      if !pending.isEmpty {
        let request = pending.removeFirst().request
        send(descriptor, request, request.count, Int32(MSG_NOSIGNAL))
      }
      close(descriptor)
    case .takeOver: queues.append(descriptor)
    case .reloadRefused(let change):
      run("say=refused:\(String(decoding: change.script, as: UTF8.self)):\(change.failure)")
      // It is answered with what is here.
      for (script, request) in pending where script == change.script { answer(request) }
      pending.removeAll { $0.script == change.script }
    case .reloading(let change): run("say=reloading:\(String(decoding: change.script, as: UTF8.self))")
    default: break
    }
  }

  /// Its supervisor has heard of what went before when it logs this.
  func settle() { channel.send(.log(LogRecord(level: .info, text: Array("settled".utf8)))) }

  func serve() {
    if let candidate = settings.candidate {
      run("say=candidate:\(String(decoding: candidate.script, as: UTF8.self))")
      if !loadsNever {
        channel.send(loadsBadly ? .loadFailed(candidate.failure &+ 1) : .loaded)
        settle()
      }
    }
    channel.send(.ready)
    while true {
      var entries = [pollfd(fd: 5, events: Int16(POLLIN), revents: 0)]
      if takesRequests {
        for queue in queues + [WorkerDescriptor.queue.rawValue] {
          entries.append(pollfd(fd: queue, events: Int16(POLLIN), revents: 0))
        }
      }
      poll(&entries, nfds_t(entries.count), -1)
      if entries[0].revents != 0 {
        switch channel.receive() {
        case .message(let order, let descriptor): obey(order, descriptor)
        case .ended: end(.shutdownSignal)
        case .malformed, .nothing: break
        }
      }
      if isStubborn, takesRequests, entries.contains(where: { $0.fd == 4 && $0.revents & Int16(POLLHUP) != 0 }) { sleep(1000) }
      for entry in entries.dropFirst() where entry.revents != 0 {
        if !takeRequest(from: entry.fd), entry.fd != WorkerDescriptor.queue.rawValue { queues.removeAll { $0 == entry.fd } }
      }
    }
  }
}

extension Probe {
  /// The result is in a worker, which it is.
  func preload(_ way: String) -> Probe {
    if let code = Int32(way) { _exit(code) }
    if way != "load" { channel.send(.loaded) }
    while true {
      guard channel.wait(milliseconds: -1) else { continue }
      switch channel.receive() {
      case .message(.fork, _) where way == "quit": _exit(0)
      case .message(.fork, let parcel) where way != "wait":
        if way != "refuse", wsgi_posix_fork() == 0 {
          let (preloader, between) = (getppid(), getpid())
          if wsgi_posix_fork() != 0 { _exit(0) }
          while getppid() == between { usleep(1000) }
          guard ForkOrder.unpack(parcel), let own = WorkerSettings.read() else { _exit(98) }
          if way == "die" {
            kill(preloader, SIGKILL)
            while kill(preloader, 0) == 0 { usleep(1000) }
          }
          channel.send(.forked(way == "lie" ? 1 : getpid()))
          return Probe(own.settings)
        }
        close(parcel)
      case .ended: _exit(0)
      default: break
      }
    }
  }
}

if Relay.isThisProcess { Relay.run() }
let task = CommandLine.arguments.dropFirst().first ?? ""
if task == "parent" { Parent().run() }
#if DEBUG
ProbeTask(rawValue: task)?.run()
#endif
guard let told = WorkerSettings.read() else { _exit(WorkerExit.settings.rawValue) }
var probe = Probe(told.settings)
let commands = getenv("PROBE").map { String(cString: $0) } ?? ""
for command in commands.split(separator: " ") {
  if probe.settings.isPreloader, command.hasPrefix("preload=") {
    probe = probe.preload(String(command.dropFirst("preload=".count)))
  } else {
    probe.run(command)
  }
}
_exit(0)
