import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

/// The adapter's part of one interpreter: types, functions, the `mod_wsgi` module, the loaded scripts. Attached use only.
final class InterpreterContents {
  unowned(unsafe) let adapter: Adapter
  unowned(unsafe) let interpreter: Interpreter
  let types: NativeTypes
  let names: Names
  private var kept: KeptRefs
  private(set) var namespace = KeptRef()
  private(set) var fileWrapper: PyObj = .none
  private(set) var requestTimeout: PyObj = .none
  private(set) var makeStream: PyObj = .none
  private(set) var formatException: PyObj = .none
  private(set) var publishFunction: PyObj = .none
  private(set) var eventCallbacks: PyObj = .none
  private var module: PyObj = .none
  let activeRequests: PyObj
  let scripts: ScriptTable
  /// The constant items of every environ.
  private(set) var constants = KeptRef()
  /// Nil without telemetry.
  let collectorLog: CollectorLog?
  let schemeHTTP: PyObj
  let schemeHTTPS: PyObj
  let zero: PyObj
  let restartWarning = FirstTime()
  let colonWarning = FirstTime()
  let hopWarning = FirstTime()
  let retirementWarning = FirstTime()
  let generationWarning = FirstTime()
  var succession = Succession()
  /// An extension module that has refused to be loaded into it.
  private(set) var refuser: String?

  init(_ adapter: Adapter, _ interpreter: Interpreter) throws(Raised) {
    self.adapter = adapter
    self.interpreter = interpreter
    types = try NativeTypes()
    var kept = KeptRefs()
    names = try Names(&kept)
    activeRequests = kept.keep(try PyRef.dict())
    schemeHTTP = try kept.intern("http")
    schemeHTTPS = try kept.intern("https")
    zero = kept.keep(try PyRef.float(0))
    scripts = ScriptTable()
    collectorLog = adapter.hasTelemetry ? CollectorLog() : nil
    self.kept = kept
  }

  /// Runs the bootstrap and puts the modules in place.
  func configure(_ pristine: [([UInt8], [UInt8])], _ gil: borrowing GILToken) throws(Raised) {
    let settings = adapter.settings
    let code = try Bootstrap.code()
    let space = try PyRef.dict()
    namespace = KeptRef(space.object.retained())
    let dict = space.object
    try dict.setItem("__builtins__", PythonCode.builtins)
    try dict.setItem("__name__", "mod_wsgi")
    try dict.setItem("native", try types.functions.make(NativeFunctions(self)))
    let texts = try PyRef.dict()
    for (key, value) in settings.texts { try texts.object.setItem(named: key, value) }
    try dict.setItem("settings", texts.object)
    try PythonCode.run(code.object, in: dict)
    let info = try makeInfo(pristine)
    _ = try function("configure").call(info.object)
    try warnOfMismatch()
    fileWrapper = try function("FileWrapper")
    requestTimeout = try function("RequestTimeout")
    makeStream = try function("make_stream")
    formatException = try function("format_exception")
    publishFunction = try function("publish")
    module = try function("module")
    eventCallbacks = kept.keep(try module.attribute("event_callbacks"))
    constants.set(try makeConstants(), gil)
  }

  /// Once a process: whether the Python home belongs to the library that runs.
  private func warnOfMismatch() throws(Raised) {
    guard interpreter.isMain, let home = adapter.settings.pythonHome?.text else { return }
    let path = try PyRef.string(home)
    let text = try function("read_configuration").call(path.object)
    let environment = PythonEnvironment(text.object.text ?? "")
    guard let base = environment.base else { return }
    let problem = environment.mismatch(
      home: home, bin: realPath(base), library: realPath(Python.library), release: Python.fullVersion)
    if let problem { adapter.host.log(.warning, "WSGI0506: " + problem) }
  }

  /// Something that the bootstrap defined, borrowed from its namespace.
  func function(_ name: StaticString) throws(Raised) -> PyObj {
    guard let found = try namespace.orNone.item(name) else {
      throw Raised(.runtimeError, "mod_wsgi's own '\(name)' is missing")
    }
    return found
  }

  private func makeInfo(_ pristine: [([UInt8], [UInt8])]) throws(Raised) -> PyRef {
    let settings = adapter.settings
    let info = try PyRef.dict()
    let dict = info.object
    let environment = try PyRef.dict()
    for (key, value) in pristine { try environment.object.setItem(try PyRef.bytes(key), try PyRef.bytes(value)) }
    try dict.setItem("pristine", environment.object)
    func flag(_ key: StaticString, _ path: KeyPath<InterpreterSettings, Bool?>, _ standard: Bool) throws(Raised) {
      try dict.setItem(key, settings.scoped(path, interpreter.name).value ?? standard)
    }
    try flag("restrict_stdin", \.restrictStdin, false)
    try flag("restrict_stdout", \.restrictStdout, false)
    try flag("restrict_signal", \.restrictSignal, true)
    if settings.isService { try dict.setItem("restrict_signal", false) }
    try dict.setItem("path_layers", settings.pathLayers(interpreter.name).map(\.text))
    try dict.setItem("version", try InterpreterContents.version())
    try dict.setItem("__version__", ModuleVersion.text)
    try dict.setItem("process_group", settings.processGroup.text)
    try dict.setItem("application_group", interpreter.name.text)
    try dict.setItem("maximum_processes", settings.processes)
    try dict.setItem("threads_per_process", settings.threads)
    try dict.setItem("active_requests", activeRequests)
    try dict.setItem("apache_version", try apacheVersion())
    try dict.setItem("mpm_processes", settings.mpmProcesses)
    try dict.setItem("mpm_threads", settings.mpmThreads)
    return info
  }

  private static func version() throws(Raised) -> PyRef {
    let version = ModuleVersion.compatible
    return try .tuple([version.0, version.1, version.2])
  }

  private func apacheVersion() throws(Raised) -> PyRef {
    let parts = adapter.settings.apacheVersion.split(separator: ".").map { Int($0) ?? 0 }
    return try .tuple(Array((parts + [0, 0, 0]).prefix(3)))
  }

  private func makeConstants() throws(Raised) -> PyRef {
    let settings = adapter.settings
    let items = try PyRef.dict()
    let dict = items.object
    try dict.setItem("wsgi.version", try PyRef.tuple([1, 0]))
    try dict.setItem("wsgi.multithread", settings.threads > 1)
    try dict.setItem("wsgi.multiprocess", settings.isMultiprocess)
    try dict.setItem("wsgi.run_once", false)
    try dict.setItem("wsgi.input_terminated", true)
    try dict.setItem("wsgi.file_wrapper", fileWrapper)
    try dict.setItem("apache.version", try apacheVersion())
    try dict.setItem("mod_wsgi.version", try InterpreterContents.version())
    return items
  }

  // MARK: streams

  /// Why the script that was read last may not run; reading a script takes it away.
  var scriptRefusal: String?

  /// The raw sides of sys.stderr and sys.stdout.
  var standardStreams: [LogStream] = []

  /// A stream's Python object, with the attributes that text streams ask of it.
  func makeLog(_ stream: LogStream, _ name: StaticString) throws(Raised) -> PyRef {
    let object = try types.log.make(stream)
    try object.object.setAttribute("name", try PyRef.interned(name))
    try object.object.setAttribute("closed", .false)
    try object.object.setAttribute("encoding", try PyRef.interned("utf-8"))
    try object.object.setAttribute("errors", try PyRef.interned("replace"))
    return object
  }

  /// Sends what the calling thread left without a line end on sys.stderr and sys.stdout.
  func flushStandardStreams() { for stream in standardStreams { stream.flushTail() } }

  /// Takes a request out of `active_requests`, whatever the application did to that dict.
  func forgetRequest(_ id: PyObj) {
    let pending = PythonException.take()
    PythonException.ignoring { try activeRequests.removeItem(id) }
    if let pending { _ = Raised(pending) }
  }

  // MARK: events

  var hasEventSubscribers: Bool { eventCallbacks.isList && eventCallbacks.listCount > 0 }

  /// Calls the subscribers, or `callbacks`, with the payload dict, which they may extend; failures are logged.
  func publish(_ event: StaticString, _ payload: PyObj, to callbacks: PyObj? = nil) {
    do throws(Raised) {
      let name = try PyRef.interned(event)
      _ = try publishFunction.call([callbacks ?? eventCallbacks, name.object, payload])
    } catch { logException("WSGI0104: Cannot publish event '\(event)'") }
  }

  func publishStopping(_ reason: String, _ gil: borrowing GILToken) {
    publishTo("shutdown_callbacks", "process_stopping") { payload throws(Raised) in
      try payload.setItem("shutdown_reason", reason)
    }
  }

  func publishSignal(_ name: String, _ number: Int, _ gil: borrowing GILToken) {
    publishTo("signal_callbacks", "process_signal") { payload throws(Raised) in
      try payload.setItem("signame", name)
      try payload.setItem("signum", number)
    }
  }

  /// Event subscribers first, then the event's own list.
  private func publishTo(_ list: StaticString, _ event: StaticString, _ fill: (PyObj) throws(Raised) -> Void) {
    do throws(Raised) {
      let payload = try PyRef.dict()
      try fill(payload.object)
      publish(event, payload.object)
      let callbacks = try module.attribute(list)
      publish(event, payload.object, to: callbacks.object)
    } catch { logException("WSGI0104: Cannot publish event '\(event)'") }
  }

  // MARK: exceptions

  /// An exception in one line, without running Python code of the application's.
  static func plainDescription(_ exception: PyObj) -> String {
    let text = PythonException.ignoring { try PyRef.describing(exception).text() } ?? ""
    return text.isEmpty ? exception.typeName : "\(exception.typeName): \(text)"
  }

  /// Takes the current exception and puts it in one line.
  static func takeDescription() -> String {
    guard let exception = PythonException.take() else { return "no exception" }
    return plainDescription(exception.object)
  }

  /// Takes the current exception and logs it under a header line.
  func logException(_ header: String, script: UnsafeRawBufferPointer? = nil) {
    guard let exception = PythonException.take() else { return }
    log(exception.object, header, script: script)
  }

  /// Logs an exception: the header, then its traceback, a record a line, and advice, to the log of the calling thread's request.
  /// Lines that hold `secret`, in any form that a traceback gives it, are withheld. `script`: the WSGI script that raised it.
  func log(_ exception: PyObj, _ header: String, script: UnsafeRawBufferPointer? = nil, secret: UnsafeRawBufferPointer? = nil) {
    adapter.logHere(.error, header)
    let text = format(exception, secret: secret)
    for part in text.split(separator: "\n") { adapter.logHere(.error, String(part)) }
    let advice = InterpreterAdvice(
      text, applicationGroup: interpreter.name, isMain: interpreter.isMain, hasOwnGIL: interpreter.hasOwnGIL)
    if let advice {
      refuser = advice.subject
      adapter.logHere(.error, advice.sentence)
    }
    if secret == nil { for sentence in self.advice(exception, script) { adapter.logHere(.error, sentence) } }
  }

  /// An exception's traceback, or as much as can be said of it.
  private func format(_ exception: PyObj, secret: UnsafeRawBufferPointer?) -> String {
    let text = PythonException.ignoring {
      guard let secret else { return try formatException.call(exception).text() }
      let value = try PyRef.bytes(secret)
      return try formatException.call(exception, value.object).text()
    }
    return text ?? (secret == nil ? InterpreterContents.plainDescription(exception) : exception.typeName)
  }

  /// Names an exception with its traceback; never 0. Addresses of objects differ from process to process and do not count.
  func fingerprint(_ exception: PyObj, _ modified: Int64) -> UInt32 {
    var hash = UInt64(bitPattern: modified) ^ 0xCBF2_9CE4_8422_2325
    var digits = 0
    for byte in format(exception, secret: nil).utf8 {
      // Behind "0x": 1 after the 0, 2 after the x.
      switch (digits, byte) {
      case (2, UInt8(ascii: "0")...UInt8(ascii: "9")), (2, UInt8(ascii: "a")...UInt8(ascii: "f")): continue
      case (1, UInt8(ascii: "x")): digits = 2
      default: digits = byte == UInt8(ascii: "0") ? 1 : 0
      }
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    return max(UInt32(truncatingIfNeeded: hash ^ hash >> 32), 1)
  }

  // MARK: advice

  private var hasAdvice = false

  /// A function of advice.py, which few processes ever need.
  private func advising(_ name: StaticString) throws(Raised) -> PyObj {
    if !hasAdvice {
      let code = try Bootstrap.advice()
      try PythonCode.run(code.object, in: namespace.orNone)
      hasAdvice = true
    }
    return try function(name)
  }

  private func advice(_ exception: PyObj, _ script: UnsafeRawBufferPointer?) -> [String] {
    PythonException.ignoring {
      let path = try script.map { path throws(Raised) in try PyRef.fileSystem(path) } ?? .none()
      let place = try PyRef.string(interpreter.label)
      let sentences = try advising("advise").call([exception, path.object, place.object])
      let list = sentences.object
      return (0..<list.listCount).compactMap { list.listItem($0).text }
    } ?? []
  }

  /// Advice about a script without a callable of the name that it should have; empty where there is none.
  func substitute(in script: LoadedScript) -> String {
    PythonException.ignoring { try advising("name_substitute").call(script.namespace).text() } ?? ""
  }

  /// Gives the kept references back, before the interpreter ends.
  func drop(_ gil: borrowing GILToken) {
    scripts.drop()
    constants.drop(gil)
    kept.drop(gil)
    namespace.drop(gil)
    for type in [types.startResponse, types.input, types.log, types.functions, types.ssl] { type.drop(gil) }
  }
}

/// The strings that every request uses, interned.
struct Names {
  let input, errors, urlScheme, requestStart, queueStart, daemonStart, applicationStart, threadID, requestRecord: PyObj
  let close, mtime, reloadRequired, requestID, write: PyObj

  /// - kept: owns them.
  init(_ kept: inout KeptRefs) throws(Raised) {
    input = try kept.intern("wsgi.input")
    errors = try kept.intern("wsgi.errors")
    urlScheme = try kept.intern("wsgi.url_scheme")
    requestStart = try kept.intern("mod_wsgi.request_start")
    queueStart = try kept.intern("mod_wsgi.queue_start")
    daemonStart = try kept.intern("mod_wsgi.daemon_start")
    applicationStart = try kept.intern("mod_wsgi.application_start")
    threadID = try kept.intern("mod_wsgi.thread_id")
    requestRecord = try kept.intern("apache.request_rec")
    close = try kept.intern("close")
    mtime = try kept.intern("__mtime__")
    reloadRequired = try kept.intern("reload_required")
    requestID = try kept.intern("mod_wsgi.request_id")
    write = try kept.intern("write")
  }
}

/// The types of an interpreter whose behaviour is Swift's.
struct NativeTypes {
  let startResponse, input, log, functions, ssl: NativeType
}
