import Platform
import PythonRuntime
import Synchronization
import WSGICore

// The interpreters of the process, from their making to their end.

extension Adapter {
  /// Tells Python how to set interpreters up and end them. Before the first interpreter is set up.
  func connectPython() {
    failures.begin { [unowned self] in reportRepeats($0, $1) }
    imports.begin { [unowned self] in reportImport($0, $1) }
    python.wantsOwnGIL = { [unowned self] name in self.wantsOwnGIL(name) }
    python.configure = { [unowned self] interpreter, gil throws(InterpreterFailure) in try self.configure(interpreter, gil) }
    python.discard = { [unowned self] interpreter, gil in
      for runner in running.all where runner.attachment.interpreter === interpreter { runner.drop(gil) }
      (interpreter.contents as? InterpreterContents)?.drop(gil)
    }
    python.endLater = { [unowned self] interpreter in _ = ender.run(milliseconds: 0) { self.endRetired(interpreter) } }
    python.openNameLimit = settings.maximumInterpreters
  }

  private func wantsOwnGIL(_ name: [UInt8]) -> Bool {
    guard settings.scoped(\.perInterpreterGIL, name).value == true else { return false }
    guard Python.versionHex >= 0x030C_0000 else {
      host.log(.warning, "WSGI0198: WSGIPerInterpreterGIL needs Python 3.12 or newer; this is \(Python.version).")
      return false
    }
    guard !Python.isBuiltWithoutGIL else {
      host.log(.warning, "WSGI0202: WSGIPerInterpreterGIL has no effect: this Python runs without a GIL.")
      return false
    }
    return true
  }

  private func configure(_ interpreter: Interpreter, _ gil: borrowing GILToken) throws(InterpreterFailure) {
    if !interpreter.isMain {
      let own = interpreter.hasOwnGIL ? " with its own GIL" : ""
      host.log(.info, "Creating \(interpreter.label)\(own) \(place).")
    }
    do throws(Raised) {
      let contents = try InterpreterContents(self, interpreter)
      interpreter.contents = contents
      try contents.configure(pristine, gil)
      setSwitchInterval(interpreter)
    } catch {
      let explanation = InterpreterContents.takeDescription()
      host.log(.critical, "WSGI0035: Cannot set up the \(interpreter.label) \(place): \(explanation)")
      throw .notConfigured
    }
  }

  /// How long threads of an application may go on when another interpreter has taken their place, in milliseconds. Those that end
  /// when they are told to have time for that, even where requests have none.
  private var threadPatience: Int64 { min(max(settings.gracefulTimeout, 1_000), 86_400_000) }

  /// On the ender's thread.
  private func endRetired(_ interpreter: Interpreter) {
    let contents = interpreter.contents as? InterpreterContents
    let isReplaced = interpreter.isReplaced.load(ordering: .relaxed)
    let deadline = Clock.monotonicMilliseconds() &+ threadPatience
    var script: [UInt8]?
    let attachments = python.endRetired(
      interpreter,
      tell: { gil in
        script = contents?.scripts.first?.path
        contents?.publishStopping("script_reload", gil)
        PythonException.ignoring { _ = try contents?.function("end_executors").call() }
      },
      mayWait: { Clock.monotonicMilliseconds() < deadline && !isStopping.load(ordering: .relaxed) },
      leave: { if !isReplaced { contents?.publishStopping("", $0) } })
    guard !attachments.isEmpty else {
      if isReplaced { keepsThreads(interpreter, script) }
      return
    }
    running.remove { $0.attachment.interpreter === interpreter }
    // A pool's runners keep their attachment.
    for attachment in attachments { attachment.contents = nil }
  }

  /// Threads of the application go on in an interpreter that has been replaced, or that was to replace another and could not load
  /// a script; then there is no `script`. A daemon process is replaced at once, with all that they keep.
  private func keepsThreads(_ interpreter: Interpreter, _ script: [UInt8]?) {
    guard !isStopping.load(ordering: .relaxed) else { return }
    obstacles.withLock { $0[interpreter.name] = "threads of the application did not end when it was last reloaded" }
    let isReplaced = settings.isDaemon && script != nil
    host.log(
      .warning,
      "WSGI0742: Threads of the application go on in the \(interpreter.label) \(place) that was replaced, "
        + "\(threadPatience / 1_000) s after it was told to end. "
        + (isReplaced ? "The process is replaced." : "It keeps its memory until the process ends.")
        + " End threads in an atexit function, or in a subscriber of process_stopping.")
    if isReplaced, let script { host.replaceProcess(script, interpreter.name) }
  }

  private func setSwitchInterval(_ interpreter: Interpreter) {
    let (value, block) = settings.scoped(\.switchInterval, interpreter.name)
    guard let value else { return }
    if Python.isBuiltWithoutGIL {
      host.log(.warning, "WSGI0205: The switch interval has no effect: this Python runs without a GIL.")
      return
    }
    if block?.applicationGroup != nil, !interpreter.isMain, !interpreter.hasOwnGIL {
      host.log(
        .warning,
        "WSGI0199: WSGISwitchInterval for application group '\(interpreter.name.text)' is ignored: it shares its GIL with"
          + " other groups.")
      return
    }
    PythonException.ignoring {
      try python.setSwitchInterval(value, interpreter)
      host.log(.info, "Switch interval of the \(interpreter.label) \(place) is \(value) s.")
    }
  }

  // MARK: events

  /// Publishes process_stopping to every interpreter.
  func publishStopping(_ reason: String) {
    python.inEachInterpreter { ($0.contents as? InterpreterContents)?.publishStopping(reason, $1) }
  }

  /// Publishes process_signal to every interpreter.
  public func signal(_ name: String, _ number: Int) {
    python.inEachInterpreter { interpreter, gil in
      (interpreter.contents as? InterpreterContents)?.publishSignal(name, number, gil)
    }
  }
}

extension NativeTypes {
  init() throws(Raised) {
    startResponse = try NativeType("mod_wsgi.Adapter", methods: StartResponse.methods, traits: .callable)
    input = try NativeType("mod_wsgi.Input", methods: InputStream.methods, traits: .iterator)
    log = try NativeType("mod_wsgi.Log", methods: LogStream.methods, traits: .hasDict)
    functions = try NativeType("mod_wsgi.Functions", methods: NativeFunctions.methods, traits: [])
    ssl = try NativeType("mod_wsgi.RequestFunction", methods: [], traits: .callable)
  }
}
