import CPython
import Glibc
import Synchronization

// An interpreter in which an import failed half way is useless for another attempt. It is retired: its name goes to a new one,
// nothing new begins in it, and it is ended when no thread is in it any more.

extension Python {
  /// The number of interpreters of one name that may be retired and not ended.
  public static let retiredLimit = 3

  /// Whether an interpreter can be ended while the process goes on. One with its own GIL has memory of its own: in Python 3.12
  /// that holds parts of types which all interpreters share, such as those of `datetime`.
  static func canRetire(hasOwnGIL: Bool) -> Bool {
    !isBuiltWithoutGIL && (0x030A_0000..<0x030F_0000).contains(versionHex) && (!hasOwnGIL || versionHex >= 0x030D_0000)
  }

  /// From 3.12 on CPython keeps for each thread the thread state that it used last, and writes to it when the thread uses
  /// another, though another thread has deleted it with its interpreter meanwhile. Before that it keeps the first, which is of
  /// the main interpreter.
  static var keepsLastState: Bool { versionHex >= 0x030C_0000 }

  /// Takes an interpreter's name away: the next attachment to that name makes a new one. False where it keeps its name: it is
  /// main, or earlier ones of that name have not been ended. Any thread.
  public func retire(_ interpreter: Interpreter) -> Bool {
    table.withLock { table in
      guard !interpreter.isMain, !table.stopping,
        let index = table.interpreters.firstIndex(where: { $0 === interpreter }),
        (table.retired + table.ending).count(where: { $0.name == interpreter.name }) < Python.retiredLimit
      else { return false }
      table.interpreters.remove(at: index)
      table.retired.append(interpreter)
      interpreter.isRetired.store(true, ordering: .sequentiallyConsistent)
      return true
    }
  }

  /// Gives an attachment back. Not while attached.
  @inline(__always)
  public func release(_ attachment: Attachment) {
    if attachment.interpreter.mayEnd.load(ordering: .relaxed) { leave(attachment) } else { attachment.end() }
  }

  /// Gives an attachment back to an interpreter that may be ended, or is to be.
  @inline(never)
  private func leave(_ attachment: Attachment) {
    useMainState()
    attachment.end()
    if attachment.interpreter.isRetired.load(ordering: .sequentiallyConsistent) { endRetiredIfLeft() }
  }

  /// The thread state that CPython keeps for the calling thread is one that lives as long as the thread. Not while attached.
  private func useMainState() {
    guard Python.keepsLastState else { return }
    PyEval_RestoreThread(thread.mainState)
    _ = PyEval_SaveThread()
  }

  /// Ends the retired interpreters that no thread uses.
  @inline(never)
  func endRetiredIfLeft() {
    let left = table.withLock { table -> [Interpreter] in
      guard !table.stopping else { return [] }
      let left = table.retired.filter { interpreter in
        !table.attachments.contains { $0.interpreter === interpreter && $0.isInUse }
      }
      table.retired.removeAll { interpreter in left.contains { $0 === interpreter } }
      table.ending += left
      return left
    }
    left.forEach(endLater)
  }

  /// The calling thread's attachment to this very interpreter, be it retired; nil where it has been ended, or is about to be.
  /// `release` gives it back.
  func attachment(to interpreter: Interpreter) -> Attachment? {
    let thread = self.thread
    let known = thread.attachment(to: interpreter)
    let attachment = table.withLock { table -> Attachment? in
      guard table.has(interpreter) else { return nil }
      if known == nil && table.stopping { return nil }
      guard let attachment = known ?? makeAttachment(interpreter, thread, in: &table) else { return nil }
      attachment.beginAnyway()
      return attachment
    }
    if attachment != nil { watchIfShared() }
    return attachment
  }

  /// Makes a thread's attachment to an interpreter that it has none to; nil where there is no memory for it.
  private func makeAttachment(_ interpreter: Interpreter, _ thread: Thread, in table: inout Table) -> Attachment? {
    guard let state = interpreter.isMain ? thread.mainState : PyThreadState_New(interpreter.state) else { return nil }
    let made = Attachment(interpreter, state, watch)
    table.attachments.append(made)
    thread.attachments.append(made)
    return made
  }

  /// Calls `body` with the calling thread's attachment to this very interpreter; nil where that has been ended. Not while
  /// attached.
  @discardableResult
  public func withAttachment<R>(to interpreter: Interpreter, _ body: (Attachment) -> R) -> R? {
    guard let attachment = attachment(to: interpreter) else { return nil }
    defer { release(attachment) }
    return body(attachment)
  }

  /// Ends a retired interpreter that no thread uses, unless threads of the application live in it: it is then left for another
  /// time. `leave` is called attached, before; the result are the attachments that were to it. Not while attached.
  ///
  /// - tell: has the application of one that was replaced end its threads, attached; they have time while `mayWait` says so.
  public func endRetired(
    _ interpreter: Interpreter, tell: (borrowing GILToken) -> Void, mayWait: () -> Bool, leave: (borrowing GILToken) -> Void
  ) -> [Attachment] {
    let thread = self.thread
    let known = thread.attachment(to: interpreter)
    let (own, attachments) = table.withLock { table in
      let own = known ?? makeAttachment(interpreter, thread, in: &table)
      return (own, table.attachments.filter { $0.interpreter === interpreter })
    }
    guard let own else {
      putBack(interpreter)
      return []
    }
    func isAlone() -> Bool { interpreter.threadCount == attachments.count }
    if interpreter.isReplaced.exchange(false, ordering: .relaxed) {
      own.run { gil in
        tell(gil)
        Python.runExitFunctions()
      }
      while !own.run({ _ in isAlone() }), mayWait() { usleep(20_000) }
    }
    let isAlone = own.run { gil in
      guard isAlone() else { return false }
      leave(gil)
      return true
    }
    guard isAlone else {
      useMainState()
      putBack(interpreter)
      return []
    }
    let hasEnded = end(interpreter, attachments, thread, own.state)
    // Even where it could not be ended its attachments' thread states are gone.
    interpreter.hasEnded.store(true, ordering: .relaxed)
    thread.attachments.removeAll { $0.interpreter === interpreter }
    table.withLock { table in
      table.attachments.removeAll { $0.interpreter === interpreter }
      if hasEnded { table.ending.removeAll { $0 === interpreter } }
    }
    // Threads of the process have allocated what it had: without this, each one's heap grows for some hundred reloads.
    wsgi_py_trim_heaps()
    return attachments
  }

  private func putBack(_ interpreter: Interpreter) {
    table.withLock { table in
      table.ending.removeAll { $0 === interpreter }
      table.retired.append(interpreter)
    }
  }

  // MARK: the end of an interpreter, retired or not

  /// Joins non-daemon threads, as Python does first when it ends. Attached.
  static func joinThreads() {
    PythonException.ignoring {
      guard let threading = try PythonCode.modules.item("threading") else { return }
      _ = try threading.attribute("_shutdown").call()
      // Py_EndInterpreter calls it again, and Python 3.12 does not expect that; `bool()` does nothing.
      if let nothing = try PythonCode.builtins.item("bool") { try threading.setAttribute("_shutdown", nothing) }
    }
  }

  /// Runs the `atexit` functions of an interpreter, which are then forgotten. Attached.
  static func runExitFunctions() {
    PythonException.ignoring { _ = try PythonCode.importModule("atexit").attribute("_run_exitfuncs").call() }
  }

  /// Ends a sub-interpreter, by way of a state of the calling thread in it; false where a daemon thread of the application still
  /// runs in it.
  func end(
    _ interpreter: Interpreter, _ attachments: [Attachment], _ thread: Thread, _ own: UnsafeMutablePointer<PyThreadState>
  ) -> Bool {
    PyEval_RestoreThread(own)
    for attachment in attachments { attachment.environ.clear(GILToken()) }
    discard(interpreter, GILToken())
    // Py_EndInterpreter is fatal while other thread states exist: those of our threads go here, those of the application's
    // non-daemon threads when they have been joined.
    for attachment in attachments where attachment.state != own { wsgi_py_delete_thread_state(attachment.state) }
    Python.joinThreads()
    // Not by Py_EndInterpreter: they might start threads.
    Python.runExitFunctions()
    guard interpreter.threadCount == 1, endRequester(of: interpreter, own) else {
      _ = PyEval_SaveThread()
      return false
    }
    Py_EndInterpreter(own)
    PyThreadState_Swap(thread.mainState)
    _ = PyEval_SaveThread()
    return true
  }

  /// Ends the thread that asks for the GIL in the interpreter's place; attached, but not meanwhile. False: another thread has
  /// begun in the interpreter, and the thread goes on.
  private func endRequester(of interpreter: Interpreter, _ own: UnsafeMutablePointer<PyThreadState>) -> Bool {
    guard let requester = interpreter.requester else { return true }
    _ = PyEval_SaveThread()
    requester.end()
    PyEval_RestoreThread(own)
    if wsgi_py_thread_count(interpreter.state) == 1 { return true }
    requester.beginAgain()
    return false
  }
}

extension Python.Table {
  fileprivate func has(_ interpreter: Interpreter) -> Bool {
    (interpreters + successors + retired).contains { $0 === interpreter }
  }
}
