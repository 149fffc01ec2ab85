import CPython
import Platform
import Synchronization

/// Python's start options.
public struct PythonStart {
  /// The interpreter that this Python behaves as: `sys.executable`, and what it finds its library and environment by.
  public var program: String?
  public var home: String?
  public var warnings: [String] = []
  public var optimize: Int32 = 0
  public var dontWriteBytecode = false
  /// Processes that applications fork have no signal handlers of this process.
  public var childrenForgetHandlers = false
  /// nil: Python's own choice.
  public var hashSeed: HashRandomization?
  public var destroyInterpreters = true
  /// False in a process that is to be forked, until `Python.startThreads`.
  public var startsThreads = true
  public enum HashRandomization { case random, fixed(UInt32) }
  public init() {}
}

/// Why there is no interpreter.
public enum InterpreterFailure: Error {
  /// Python itself refused; the sentence is CPython's.
  case notCreated(String)
  /// Setting it up raised; it has been logged.
  case notConfigured
  /// This number of interpreters have names that come from requests, and no more may.
  case tooMany(limit: Int)
  case stopping
}

/// The Python of this process: its interpreters and its threads. One instance a process.
public final class Python: @unchecked Sendable {  // `table` is guarded by its Mutex; the rest is set before threads start
  struct Table {
    /// Those that bear their names, main first.
    var interpreters: [Interpreter] = []
    /// Those that are to take the place of one that bears their name, once they have loaded its scripts.
    var successors: [Interpreter] = []
    /// Those whose names others have taken, and which have not been ended (`Python+Retirement`).
    var retired: [Interpreter] = []
    /// Those of them that are being ended, or could not be ended altogether.
    var ending: [Interpreter] = []
    var attachments: [Attachment] = []
    var threads = 0
    var stopping = false
    /// The process may have threads that no application has started.
    var startsThreads = true
    /// `watch` has its thread.
    var isWatched = false
  }

  public let main: Interpreter
  private let mainState: UnsafeMutablePointer<PyThreadState>
  private let startThread: pthread_t
  private let destroys: Bool
  let table = Mutex(Table())
  /// Nil where CPython has the GIL given up for every thread that waits for it.
  let watch = GILWatch.isNeeded ? GILWatch() : nil
  /// Serialises the making of interpreters; taken without the GIL.
  private let creation = RecursiveLock()
  /// Whether a new interpreter of this name has its own GIL.
  public var wantsOwnGIL: @Sendable ([UInt8]) -> Bool = { _ in false }
  /// The number of interpreters that may have open names.
  public var openNameLimit = Int.max
  /// Sets a new interpreter up; called attached to it. Throws after logging.
  public var configure: @Sendable (Interpreter, borrowing GILToken) throws(InterpreterFailure) -> Void = {
    _, _ throws(InterpreterFailure) in
  }
  /// An interpreter is about to end; called attached to it.
  public var discard: @Sendable (Interpreter, borrowing GILToken) -> Void = { _, _ in }
  /// A retired interpreter is left: `endRetired` is to be called with it, on another thread.
  public var endLater: @Sendable (Interpreter) -> Void = { _ in }

  /// Initialises Python on the calling thread and leaves it detached. `failure`: CPython's sentence.
  public init(_ start: PythonStart) throws(InterpreterFailure) {
    var settings = wsgi_py_start()
    settings.optimize = start.optimize
    settings.dont_write_bytecode = start.dontWriteBytecode
    switch start.hashSeed {
    case .random: settings.use_hash_seed = 0
    case .fixed(let seed): (settings.use_hash_seed, settings.hash_seed) = (1, seed)
    case nil: settings.use_hash_seed = -1
    }
    // CPython keeps copies of all of these.
    let program = start.program.flatMap { strdup($0) }
    let home = start.home.flatMap { strdup($0) }
    let warnings = start.warnings.map { UnsafePointer(strdup($0)) }
    defer {
      free(program)
      free(home)
      for warning in warnings { free(UnsafeMutableRawPointer(mutating: warning)) }
    }
    settings.program = UnsafePointer(program)
    settings.home = UnsafePointer(home)
    let failure = warnings.withUnsafeBufferPointer { list -> UnsafePointer<CChar>? in
      settings.warnings = list.baseAddress
      settings.warning_count = Int32(list.count)
      return wsgi_py_initialize(&settings)
    }
    if let failure { throw .notCreated(String(cString: failure)) }
    guard wsgi_py_watch_forks(start.childrenForgetHandlers) else { throw .notCreated("no memory to watch for forks") }
    guard let state = PyThreadState_Get(), let interpreter = PyThreadState_GetInterpreter(state) else {
      throw .notCreated("Python has no thread state")
    }
    mainState = state
    startThread = pthread_self()
    destroys = start.destroyInterpreters
    let line = Python.isBuiltWithoutGIL ? nil : GILLine()
    main = Interpreter(name: [], isMain: true, hasOwnGIL: false, state: interpreter, line: line)
    table.withLock { table in
      table.interpreters = [main]
      table.startsThreads = start.startsThreads
    }
    _ = PyEval_SaveThread()
  }

  /// Sets up the main interpreter, which exists from the start. Attached on return: no.
  public func configureMain() throws(InterpreterFailure) {
    let failure = withAttachment(to: main) { attachment in
      attachment.run { gil -> InterpreterFailure? in
        do throws(InterpreterFailure) {
          try configure(main, gil)
          return nil
        } catch { return error }
      }
    }
    if let failure = failure.flatMap({ $0 }) { throw failure }
  }

  // MARK: threads

  /// The calling thread's attachments.
  public final class Thread {
    /// An ordinal of the thread in this process; the first is 0.
    public let ordinal: Int
    var attachments: [Attachment] = []
    let mainState: UnsafeMutablePointer<PyThreadState>
    /// The request that runs on this thread now, to the room above.
    public unowned(unsafe) var current: AnyObject?

    fileprivate init(ordinal: Int, mainState: UnsafeMutablePointer<PyThreadState>) {
      self.ordinal = ordinal
      self.mainState = mainState
    }

    func attachment(to interpreter: Interpreter) -> Attachment? { attachments.first { $0.interpreter === interpreter } }
  }

  /// The calling thread, made known to Python at its first call.
  ///
  /// A thread's first thread state is always one of the main interpreter: CPython takes the first for the one that the
  /// PyGILState functions mean, and extensions expect that to be main's.
  public var thread: Thread {
    if let known = Python.knownThread { return known }
    let ordinal = table.withLock { table in
      table.threads &+= 1
      return table.threads &- 1
    }
    let state = pthread_equal(pthread_self(), startThread) != 0 ? mainState : PyThreadState_New(main.state)
    // Kept for the life of the process, as its thread states are.
    let made = Thread(ordinal: ordinal, mainState: state ?? mainState)
    wsgi_py_set_thread_slot(Unmanaged.passRetained(made).toOpaque())
    return made
  }

  /// The calling thread, if it has been attached before; nil on threads that applications start.
  public static var knownThread: Thread? {
    wsgi_py_thread_slot().map { Unmanaged<Thread>.fromOpaque($0).takeUnretainedValue() }
  }

  /// The calling thread's attachment to the interpreter of an application group, both made where they do not exist yet.
  /// Not while attached. Waits while another thread makes the interpreter. `release` gives it back.
  ///
  /// - isOpenName: no configuration fixes the name, and the number of such interpreters is limited.
  /// - beforeWaiting: called before an interpreter is made or waited for.
  @inline(__always)
  public func attachment(
    _ name: UnsafeRawBufferPointer, isOpenName: Bool = false, beforeWaiting: () -> Void = {}
  ) throws(InterpreterFailure) -> Attachment {
    let thread = self.thread
    for attachment in thread.attachments where Python.same(attachment.interpreter.name, name) {
      if attachment.begin() { return attachment }
      endRetiredIfLeft()
    }
    return try makeAttachment(Array(name), thread, isOpenName, beforeWaiting: beforeWaiting)
  }

  private static func same(_ name: [UInt8], _ bytes: UnsafeRawBufferPointer) -> Bool {
    name.count == bytes.count
      && name.withUnsafeBytes { own in
        guard let a = own.baseAddress, let b = bytes.baseAddress else { return true }
        return memcmp(a, b, own.count) == 0
      }
  }

  @inline(never)
  func makeAttachment(
    _ name: [UInt8], _ thread: Thread, _ isOpenName: Bool, succeeding old: Interpreter? = nil, beforeWaiting: () -> Void = {}
  ) throws(InterpreterFailure) -> Attachment {
    thread.attachments.removeAll { $0.interpreter.hasEnded.load(ordering: .relaxed) }
    if !creation.tryLock() {
      beforeWaiting()
      creation.lock()
    }
    defer { creation.unlock() }
    let (known, isStopping) = table.withLock { table in (table.interpreters.first { $0.name == name }, table.stopping) }
    if isStopping { throw .stopping }
    if let interpreter = known, interpreter !== old {
      if let attachment = attachment(to: interpreter) {
        noteRequests(to: interpreter)
        return attachment
      }
      guard interpreter.isRetired.load(ordering: .relaxed) else { throw .notCreated("no memory for a thread state") }
    }
    if old != nil, known !== old { throw .stopping }
    if isOpenName, old == nil, table.withLock({ $0.interpreters.count { $0.hasOpenName } }) >= openNameLimit {
      throw .tooMany(limit: openNameLimit)
    }
    beforeWaiting()
    let (interpreter, state) = try makeInterpreter(name, thread, isOpenName)
    let attachment = Attachment(interpreter, state, watch)
    _ = attachment.begin()
    table.withLock { table in
      if old == nil { table.interpreters.append(interpreter) } else { table.successors.append(interpreter) }
      table.attachments.append(attachment)
    }
    thread.attachments.append(attachment)
    noteRequests(to: interpreter)
    return attachment
  }

  /// Makes an interpreter, and the calling thread's state in it. Not while attached.
  private func makeInterpreter(
    _ name: [UInt8], _ thread: Thread, _ isOpenName: Bool
  ) throws(InterpreterFailure) -> (Interpreter, UnsafeMutablePointer<PyThreadState>) {
    let ownGIL = wantsOwnGIL(name)
    guard let attachment = attachment(to: main) else { throw .stopping }
    defer { release(attachment) }
    PyEval_RestoreThread(thread.mainState)
    defer { _ = PyEval_SaveThread() }
    var reason: UnsafePointer<CChar>?
    guard let state = wsgi_py_new_interpreter(ownGIL, &reason), let made = PyThreadState_GetInterpreter(state) else {
      PyErr_Clear()
      throw .notCreated(reason.map { String(cString: $0) } ?? "no reason given")
    }
    let interpreter = Interpreter(
      name: name, isMain: false, hasOwnGIL: ownGIL, hasOpenName: isOpenName, state: made, line: ownGIL ? GILLine() : main.line)
    do throws(InterpreterFailure) { try configure(interpreter, GILToken()) } catch {
      Py_EndInterpreter(state)
      PyThreadState_Swap(thread.mainState)
      throw error
    }
    return (interpreter, state)
  }

  /// Runs `body`, which must not wait, for each interpreter, main first, without any GIL: none ends meanwhile.
  public func withEachInterpreter(_ body: (Interpreter) -> Void) {
    table.withLock { table in if !table.stopping { (table.interpreters + table.retired).forEach(body) } }
  }

  /// All interpreters that bear their names now, main first.
  public var interpreters: [Interpreter] { table.withLock { $0.interpreters } }

  // MARK: the end

  /// Runs `body` attached to each interpreter in turn, main first. Not while attached.
  public func inEachInterpreter(_ body: (Interpreter, borrowing GILToken) -> Void) {
    for interpreter in table.withLock({ $0.interpreters + $0.retired }) {
      withAttachment(to: interpreter) { attachment in attachment.run { body(interpreter, $0) } }
    }
  }

  /// Ends all sub-interpreters and then Python, on the thread that started it, with no request running. `atexit` callbacks run
  /// and non-daemon threads are joined.
  public func stop() {
    creation.lock()
    defer { creation.unlock() }
    // A use of main, for as long as Python ends: threads that applications leave may compute meanwhile.
    _ = attachment(to: main)
    let (interpreters, attachments, isEnding) = table.withLock { table in
      table.stopping = true
      return (table.interpreters + table.successors + table.retired, table.attachments, !table.ending.isEmpty)
    }
    guard destroys else { return }
    let thread = self.thread
    var allEnded = !isEnding
    for interpreter in interpreters where !interpreter.isMain {
      let own = thread.attachment(to: interpreter)?.state ?? PyThreadState_New(interpreter.state)
      let ended = own.map { end(interpreter, attachments.filter { $0.interpreter === interpreter }, thread, $0) } ?? false
      allEnded = allEnded && ended
    }
    PyEval_RestoreThread(mainState)
    for attachment in attachments where attachment.interpreter.isMain { attachment.environ.clear(GILToken()) }
    discard(main, GILToken())
    if allEnded {
      _ = PyEval_SaveThread()
      main.requester?.end()
      PyEval_RestoreThread(mainState)
      Py_FinalizeEx()
    } else {
      // Py_FinalizeEx is fatal while there are sub-interpreters.
      Python.joinThreads()
      Python.runExitFunctions()
      _ = PyEval_SaveThread()
    }
  }

  /// Takes and gives back the main interpreter's GIL.
  public func probe() { withAttachment(to: main) { $0.run { _ in } } }

  /// Runs `body`, which may wait, without the GIL, on any thread that holds one.
  public static func detached<R>(_ gil: borrowing GILToken, _ body: () -> R) -> R {
    let state = PyEval_SaveThread()
    defer { PyEval_RestoreThread(state) }
    return body()
  }

  /// An application has forked this process.
  @inline(__always)
  public static var isForkedChild: Bool { wsgi_py_is_forked_child() }

  /// Forks the process, with `begin` in the new one before any Python code. 0 in the new process, which is a process like this
  /// one, 1 in this one, or a negated errno value. On its only thread, attached to the main interpreter.
  public static func fork(
    _ gil: borrowing GILToken, _ begin: @convention(c) (UnsafeMutableRawPointer?) -> Int32, _ context: UnsafeMutableRawPointer?
  ) -> Int32 { wsgi_py_fork_orphan(begin, context) }

  public static var version: String { String(cString: wsgi_py_version_text()) }
  /// "3.11.2": that of the library that runs.
  public static var fullVersion: String { String(String(cString: Py_GetVersion()).prefix { $0 != " " }) }
  /// The file of the library that runs.
  public static var library: String { String(cString: wsgi_py_library()) }
  /// The interpreter that the engine was built for.
  public static var program: String { String(cString: wsgi_py_program()) }
  public static var versionHex: UInt32 { wsgi_py_version_hex() }
  public static var isBuiltWithoutGIL: Bool { wsgi_py_built_without_gil() }
}
