import PythonRuntime
import WSGICore

/// A call of a function in an auth, access or dispatch script.
public struct ScriptCall {
  public var function: String
  /// Pairs: the positional arguments after environ as keys.
  public var arguments: UnsafeRawBufferPointer
  public var flags: CallFlags
  /// The length limit of an answer, in bytes.
  public var capacity: Int

  public init(function: String, arguments: UnsafeRawBufferPointer, flags: CallFlags, capacity: Int) {
    self.function = function
    self.arguments = arguments
    self.flags = flags
    self.capacity = capacity
  }
}

/// The answer of such a function.
public struct ScriptAnswer {
  public var kind: AnswerKind
  public var bytes: [UInt8]
  /// The interpreter has been retired: the one that bears its name now is to be asked.
  var isForAnotherInterpreter = false

  init(_ kind: AnswerKind, _ bytes: [UInt8] = []) {
    self.kind = kind
    self.bytes = bytes
  }
}

extension Adapter {
  /// Calls a function of the head's script with the head's environ. Not attached.
  public func call(_ call: ScriptCall, _ request: RequestHead, _ exchange: RequestExchange) -> ScriptAnswer {
    var refusal: InterpreterFailure?
    for _ in 0..<Adapter.attempts {
      let answer = withRunner(request, exchange, &refusal) { $0.call(call, request, exchange) }
      guard let answer else { return ScriptAnswer(.noInterpreter) }
      if !answer.isForAnotherInterpreter { return answer }
    }
    return ScriptAnswer(.unloadable)
  }
}

extension RequestRunner {
  /// Calls a function with the head's environ. Not attached.
  func call(_ call: ScriptCall, _ request: RequestHead, _ exchange: RequestExchange) -> ScriptAnswer {
    begin(request, exchange)
    let thread = adapter.python.thread
    let outer = thread.current
    thread.current = self
    defer { thread.current = outer }
    return attachment.runInTurn { gil in
      defer { finish(gil) }
      return answer(call, request, gil)
    }
  }

  private func answer(_ call: ScriptCall, _ request: RequestHead, _ gil: borrowing GILToken) -> ScriptAnswer {
    do {
      let wanted = ScriptLoader.Request(
        path: request.script, modified: request.scriptModified, isReloading: request.flags.contains(.scriptReloading),
        exchange: exchange)
      let script = try ScriptLoader(contents: contents, attachment: attachment).script(wanted, gil)
      // The functions in environ refuse to work from then on, should the script have kept them.
      defer { callNumber &+= 1 }
      let answer = call.flags.contains(.each) ? try each(call, script, request, gil) : try one(call, script, request, gil)
      endIfForked()
      return answer
    } catch ScriptFailure.retired {
      var answer = ScriptAnswer(.unloadable)
      answer.isForAnotherInterpreter = true
      return answer
    } catch is ScriptFailure {
      return ScriptAnswer(.unloadable)
    } catch {
      adapter.logHere(.error, "WSGI0502: Cannot decode the request from the server: \(error).")
      return ScriptAnswer(.raised)
    }
  }

  private func one(
    _ call: ScriptCall, _ script: LoadedScript, _ request: RequestHead, _ gil: borrowing GILToken
  ) throws(FlatFailure) -> ScriptAnswer {
    var arguments: [UnsafeRawBufferPointer] = []
    var reader = FlatReader(call.arguments)
    for _ in 0..<(try reader.readUInt32()) { arguments.append(try reader.readPair().key) }
    do throws(Raised) {
      guard let function = try self.function(call.function, of: script) else { return ScriptAnswer(.missing) }
      let environ = try makeServiceEnviron(request, call.flags, gil)
      let result = try self.call(function, environ, arguments, gil)
      return call.flags.contains(.list)
        ? try list(result.object, call, request)
        : try single(result.object, usesUTF8: call.flags.contains(.utf8))
    } catch {
      logCallException(place(call.function, request), secret: call.flags.contains(.secret) ? arguments.last : nil)
      return ScriptAnswer(.raised)
    }
  }

  /// Calls several functions with one environ; the first that fails is the last that is called.
  private func each(
    _ call: ScriptCall, _ script: LoadedScript, _ request: RequestHead, _ gil: borrowing GILToken
  ) throws(FlatFailure) -> ScriptAnswer {
    var writer = FlatWriter(capacity: 256)
    writer.append(UInt32(0))
    var count: UInt32 = 0
    var environ = KeptRef()
    defer { environ.drop(gil) }
    for name in call.function.split(separator: ",").map(String.init) {
      do throws(Raised) {
        guard let function = try self.function(name, of: script) else { continue }
        if environ.object == nil { environ.set(try makeServiceEnviron(request, call.flags, gil), gil) }
        let result = try function.call(environ.orNone)
        let answer = try single(result.object, usesUTF8: call.flags.contains(.utf8))
        let key = Array(name.utf8)
        switch answer.kind {
        case .none: key.withUnsafeBytes { writer.appendPair(nullFor: $0) }
        case .string, .bytes: key.withUnsafeBytes { key in answer.bytes.withUnsafeBytes { writer.appendPair(key, $0) } }
        default: throw Raised(.typeError, "\(name)() must return str, bytes or None, not \(result.object.typeName)")
        }
        count &+= 1
      } catch {
        logCallException(place(name, request), secret: nil)
        return ScriptAnswer(.raised)
      }
    }
    writer.patch(count, at: 0)
    return ScriptAnswer(.list, Array(writer.bytes))
  }

  private func function(_ name: String, of script: LoadedScript) throws(Raised) -> PyRef? {
    let name = try PyRef.string(name)
    return try script.namespace.item(name.object)?.retained()
  }

  private func call(
    _ function: borrowing PyRef, _ environ: borrowing PyRef, _ arguments: [UnsafeRawBufferPointer],
    _ gil: borrowing GILToken
  ) throws(Raised) -> PyRef {
    var kept = KeptRefs()
    defer { kept.drop(gil) }
    var all = [environ.object]
    for argument in arguments { all.append(kept.keep(try PyRef.latin1(argument))) }
    return try function.object.call(all)
  }

  // MARK: failures

  private func place(_ function: String, _ request: RequestHead) -> String {
    "\(function)() of script '\(String(decoding: request.script, as: UTF8.self))'"
  }

  private func logCallException(_ place: String, secret: UnsafeRawBufferPointer?) {
    endIfForked()
    guard let exception = PythonException.take() else { return }
    if PythonException.isSystemExit(exception.object) {
      contents.log(exception.object, "WSGI0175: SystemExit raised by \(place); ignored.", secret: secret)
    } else {
      contents.log(exception.object, "WSGI0174: Exception \(exception.object.typeName) in \(place).", secret: secret)
    }
  }

  // MARK: environ

  /// A fresh dict of the head's pairs and the objects of such scripts.
  private func makeServiceEnviron(_ request: RequestHead, _ flags: CallFlags, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    let environ = try PyRef.dict()
    let dict = environ.object
    var reader = request.environ
    for _ in 0..<request.pairCount {
      guard let pair = try? reader.readPair() else { throw Raised(.valueError, "the request cannot be read") }
      let key = try PyRef.latin1(pair.key)
      guard let value = pair.value else {
        try dict.setItem(key.object, .none)
        continue
      }
      try dict.setItem(key, EnvironBuilder.isPath(pair.key) ? try PyRef.fileSystem(value) : try PyRef.latin1(value))
    }
    try makeObjects(hasBody: false, gil)
    try dict.setItem(contents.names.errors, objects.errors.orNone)
    try dict.setItem("mod_wsgi.process_group", try PyRef.latin1(request.processGroup))
    try dict.setItem("mod_wsgi.application_group", try PyRef.latin1(request.applicationGroup))
    if request.flags.contains(.passRequest), let record = exchange.requestRecord {
      try dict.setItem(contents.names.requestRecord, try PyRef(capsule: record))
    }
    guard flags.contains(.auth) else { return environ }
    for key: StaticString in ["apache.version", "mod_wsgi.version"] {
      if let value = try contents.constants.orNone.item(key) { try dict.setItem(key, value) }
    }
    try dict.setItem("mod_ssl.is_https", try contents.types.ssl.make(RequestFunction(self, .isHTTPS)))
    try dict.setItem("mod_ssl.var_lookup", try contents.types.ssl.make(RequestFunction(self, .variable)))
    return environ
  }

  // MARK: answers

  private func single(_ result: PyObj, usesUTF8: Bool) throws(Raised) -> ScriptAnswer {
    if result == .none { return ScriptAnswer(.none) }
    if result == .true { return ScriptAnswer(.yes) }
    if result == .false { return ScriptAnswer(.no) }
    if result.isBytes { return try whole(.bytes, result.bytes) }
    guard result.isString else { return ScriptAnswer(.other, Array(result.typeName.utf8)) }
    if usesUTF8 { return try whole(.string, try result.utf8()) }
    guard let bytes = result.latin1 else { throw Raised(.typeError, "result must hold latin-1 characters only") }
    return try whole(.string, bytes)
  }

  /// httpd's strings end at a NUL: the part before one must not pass for the whole.
  private func whole(_ kind: AnswerKind, _ bytes: UnsafeRawBufferPointer) throws(Raised) -> ScriptAnswer {
    guard !bytes.contains(0) else { throw Raised(.valueError, "result must not hold a NUL character") }
    return ScriptAnswer(kind, Array(bytes))
  }

  /// The items of an iterable, or those before an exception.
  private func list(_ result: PyObj, _ call: ScriptCall, _ request: RequestHead) throws(Raised) -> ScriptAnswer {
    let place = "the result of \(place(call.function, request))"
    let iterator: PyRef
    do throws(Raised) { iterator = try result.iterator() } catch {
      logCallException(place, secret: nil)
      return ScriptAnswer(.other, Array(result.typeName.utf8))
    }
    var writer = FlatWriter(capacity: 256)
    writer.append(UInt32(0))
    var count: UInt32 = 0
    var kind = AnswerKind.list
    let empty = UnsafeRawBufferPointer(start: nil, count: 0)
    do throws(Raised) {
      while let item = try iterator.next() {
        // An iterable may have no end.
        guard writer.count <= call.capacity else { return ScriptAnswer(.tooLong) }
        if item.object.isBytes {
          writer.appendPair(item.object.bytes, empty)
        } else if let text = item.object.latin1 {
          writer.appendPair(text, empty)
        } else if item.object.isString {
          return ScriptAnswer(.notLatin1)
        } else {
          return ScriptAnswer(.badItem, Array(item.object.typeName.utf8))
        }
        count &+= 1
      }
    } catch {
      logCallException(place, secret: nil)
      kind = .cutList
    }
    writer.patch(count, at: 0)
    return ScriptAnswer(kind, Array(writer.bytes))
  }
}

/// `mod_ssl.is_https` and `mod_ssl.var_lookup` of an auth script's environ; valid during the call only.
final class RequestFunction: NativeObject {
  enum Kind { case isHTTPS, variable }
  private unowned(unsafe) let runner: RequestRunner
  private let number: UInt64
  private let kind: Kind

  init(_ runner: RequestRunner, _ kind: Kind) {
    self.runner = runner
    self.kind = kind
    number = runner.callNumber
  }

  override func call(_ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    guard runner.isActive, runner.callNumber == number, RunningRequest.current === runner else {
      throw Raised(.runtimeError, "request object has expired")
    }
    switch kind {
    case .isHTTPS:
      try arguments.expect(0...0, "is_https")
      return try .int(runner.exchange.isHTTPS ? 1 : 0)
    case .variable:
      try arguments.expect(1...1, "var_lookup")
      let argument = arguments[0] ?? .none
      guard let name = argument.isBytes ? argument.bytes : argument.latin1 else {
        throw Raised(.typeError, "variable name must be str, of latin-1 characters, or bytes")
      }
      guard !name.contains(0), let value = runner.exchange.sslVariable(Array(name)) else { return .none() }
      return try PyRef.latin1(value)
    }
  }
}
