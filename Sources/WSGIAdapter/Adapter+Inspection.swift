import Glibc
import Platform
import PythonRuntime
import Synchronization
import WSGICore

// Looks at what runs, for monitors and the log. The GIL may not be available at all, so that all of it happens on a thread of
// its own, for which the caller waits with a limit. Stacks are lines; the flag beside them is false where the GIL could not be
// acquired in time: the lines are then what could be read without it.

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
    return lines.map { ($0, true) } ?? (stacksWithoutGIL(), false)
  }

  /// The stacks of all threads that run Python code, those that applications started too, in every interpreter.
  public func allStacks(milliseconds: UInt32) -> ([String], Bool) {
    // A thread that keeps the GIL may keep the inspector since the last time.
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
    let found = lines.all.withLock { $0 }
    // With GILs of their own some interpreters may have answered.
    return isComplete == true ? (found, true) : (found + stacksWithoutGIL(), false)
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
  static func threadNames(_ gil: borrowing GILToken) -> [UInt: String] {
    var names: [UInt: String] = [:]
    PythonException.ignoring {
      guard let threading = try PythonCode.modules.item("threading") else { return }
      let active = try threading.attribute("_active")
      let identities = try active.iterator()
      while let identity = try identities.next() {
        // Not `name`, which an application may have replaced with code of its own.
        guard let thread = try active.object.item(identity.object) else { continue }
        names[UInt(bitPattern: try identity.object.int())] = try thread.attribute("_name").text()
      }
    }
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

  // MARK: imports

  func reportImport(_ running: ImportWatch.Import, _ seconds: UInt64) {
    let lines = inspector.run(milliseconds: 1000) { [self] in
      python.withAttachment(to: running.attachment.interpreter) { own in
        own.run { running.isUnderWay ? running.attachment.stack($0).lines("Thread \(running.thread)") : [] }
      } ?? []
    }
    let stack = lines ?? stacksWithoutGIL()
    guard running.isUnderWay else { return }
    host.log(
      .warning,
      "WSGI0612: Script '\(running.script)' is still loading, after \(seconds) s, into the "
        + "\(running.attachment.interpreter.label) \(place); requests for it are waiting. "
        + (stack.isEmpty ? "It runs no Python code." : stack.joined(separator: ", ") + "."))
  }

  func reportRepeats(_ script: FailureLedger.Script, _ repeats: Int) {
    let group = String(decoding: script.applicationGroup, as: UTF8.self)
    let interpreter = group.isEmpty ? "main interpreter" : "sub-interpreter '\(group)'"
    host.log(
      .error,
      "WSGI0614: WSGI script '\(String(decoding: script.path, as: UTF8.self))' fails to load into the \(interpreter) \(place): "
        + "the failure in the traceback above repeated \(repeats == 1 ? "once" : "\(repeats) times").")
  }

  // MARK: timeouts

  /// Raises RequestTimeout in the thread that runs `ticket`. False where it does not run, or the GIL could not be acquired.
  public func interrupt(_ ticket: UInt64) -> Bool {
    let isRaised = inspector.run(milliseconds: 1000) { [self] () -> Bool? in
      guard let runner = running.running(ticket).first else { return false }
      return python.withAttachment(to: runner.attachment.interpreter) { attachment in
        attachment.run { gil in
          guard runner.ticket.load(ordering: .relaxed) == ticket,
            let contents = attachment.interpreter.contents as? InterpreterContents
          else { return false }
          runner.isInterrupted = true
          return Attachment.raiseAsynchronously(gil, contents.requestTimeout, inThread: runner.attachment.identity)
        }
      }
    }
    return isRaised == true
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
