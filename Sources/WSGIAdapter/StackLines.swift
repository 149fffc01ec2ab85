import Glibc
import Platform
import PythonRuntime
import Synchronization
import WSGIMeasurement

// Python stacks as lines for the log. The flag beside them is false where the GIL could not be had in time: the lines are then
// what could be read without it.

extension Adapter {
  /// The stacks of the threads that run `ticket`.
  public func stacks(_ ticket: UInt64, milliseconds: UInt32) -> ([String], Bool) {
    let lines = inspector.run(milliseconds: milliseconds) { [self] in
      var lines: [String] = []
      for runner in running.running(ticket) {
        python.withAttachment(to: runner.attachment.interpreter) { attachment in
          attachment.run { lines += runner.attachment.stack($0).lines("Thread \(runner.threadOrdinal)") }
        }
      }
      return lines
    }
    if let lines { return (lines, true) }
    return (stacksWithoutGIL(), false)
  }

  /// The stacks of all threads that run Python code, those that applications started too, in every interpreter.
  public func allStacks(milliseconds: UInt32) -> ([String], Bool) {
    // Whatever keeps the GIL may keep the inspector since the last time.
    guard inspector.isIdle else { return (stacksWithoutGIL(), false) }
    final class Lines: Sendable { let all = Mutex<[String]>([]) }
    let lines = Lines()
    let isComplete = inspector.run(milliseconds: milliseconds) { [self] in
      python.inEachInterpreter { interpreter, gil in
        let found = describe(interpreter, gil)
        lines.all.withLock { $0 += found }
      }
      return true
    }
    if isComplete != nil { return (lines.all.withLock { $0 }, true) }
    // With GILs of their own some interpreters may have answered.
    return (lines.all.withLock { $0 } + stacksWithoutGIL(), false)
  }

  private func describe(_ interpreter: Interpreter, _ gil: borrowing GILToken) -> [String] {
    let runners = running.running().filter { $0.attachment.interpreter === interpreter }
    let importing = imports.underWay.filter { $0.attachment.interpreter === interpreter }
    let names = Adapter.threadNames(gil)
    return interpreter.stacks(gil).flatMap { stack in
      var title = names[stack.identity].map { "Thread '\($0)'" } ?? "Thread \(stack.identity)"
      if let runner = runners.first(where: { $0.attachment.identity == stack.identity }) {
        title = "Thread \(runner.threadOrdinal)"
        if let id = runner.requestID.object?.text { title += ", request \(id)," }
      } else if let one = importing.first(where: { $0.attachment.identity == stack.identity }) {
        title = "Thread \(one.thread)"
      }
      return stack.lines("\(title) in the \(interpreter.label)")
    }
  }

  /// Names of `threading`'s threads, by identity.
  private static func threadNames(_ gil: borrowing GILToken) -> [UInt: String] {
    var names: [UInt: String] = [:]
    do throws(Raised) {
      guard let threading = try PythonCode.modules.item("threading") else { return [:] }
      let active = try threading.attribute("_active")
      let identities = try active.iterator()
      while let identity = try identities.next() {
        // Not `name`, which an application may have replaced with code of its own.
        guard let thread = try active.object.item(identity.object) else { continue }
        names[UInt(bitPattern: try identity.object.int())] = try thread.attribute("_name").text()
      }
    } catch { PythonException.clear() }
    return names
  }

  func stacksWithoutGIL() -> [String] {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return [] }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    defer { for end in ends { close(end) } }
    var lines: [String] = []
    python.withEachInterpreter { interpreter in
      interpreter.dumpWithoutGIL(to: ends[1])
      let found = Adapter.lines(from: ends[0])
      if !found.isEmpty { lines += ["Threads of the \(interpreter.label):"] + found }
    }
    return lines
  }

  /// The capacity of a pipe.
  private static func lines(from descriptor: Int32) -> [String] {
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = read(descriptor, &buffer, buffer.count)
    guard count > 0 else { return [] }
    return String(decoding: buffer.prefix(count), as: UTF8.self).split(separator: "\n").map(String.init)
  }
}

extension ThreadStack {
  /// A line a frame, without the frames of Python's own import system, of which there are four for each module.
  func lines(_ title: String) -> [String] {
    let shown = frames.filter { !$0.file.hasPrefix("<frozen importlib") && $0.file != Bootstrap.file }
    return shown.enumerated().map { index, frame in
      let place = "file \"\(frame.file)\", line \(frame.line), in \(frame.function)"
      return index == 0 ? "\(title) executing \(place)" : "called from \(place)"
    }
  }
}
