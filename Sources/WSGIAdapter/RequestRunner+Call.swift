import PythonRuntime
import WSGICore

// Functions of auth, access and dispatch scripts (reference/auth.md): no application, no response, an answer.

extension RequestRunner {
  /// Calls a function with the head's environ. Not attached.
  func call(_ call: ScriptCall, _ request: RequestHead, _ exchange: RequestExchange) -> ScriptAnswer {
    begin(request, exchange)
    let thread = adapter.python.thread
    let outer = thread.current
    thread.current = self
    defer { thread.current = outer }
    return attachment.run {
      defer { finish() }
      return answer(call, request)
    }
  }

  private func answer(_ call: ScriptCall, _ request: RequestHead) -> ScriptAnswer {
    do {
      try decodePairs(request)
      let loader = ScriptLoader(contents: contents, attachment: attachment)
      let script = try loader.script(
        ScriptLoader.Request(
          path: request.script, modified: request.scriptModified, isReloading: request.flags.contains(.scriptReloading),
          rejectsStale: false, resource: { nil }))
      let name = try PyRef.string(call.function)
      guard let function = try script.namespace.item(name.object)?.retained() else { return ScriptAnswer(.missing) }
      let environ = try makeServiceEnviron(request)
      var arguments = [environ.object]
      var kept: [KeptRef] = []
      defer { for index in kept.indices { kept[index].drop() } }
      var reader = FlatReader(call.arguments)
      for _ in 0..<(try reader.readUInt32()) {
        let argument = KeptRef(try PyRef.latin1(try reader.readPair().key))
        kept.append(argument)
        arguments.append(argument.orNone)
      }
      // The two callables refuse to work from then on, should the script have kept them.
      defer { callNumber &+= 1 }
      let result = try function.object.call(arguments)
      return call.wantsList ? try list(result.object) : try single(result.object, usesUTF8: call.usesUTF8)
    } catch is Raised {
      logCallException(call.function, request)
      return ScriptAnswer(.raised)
    } catch is ScriptFailure {
      return ScriptAnswer(.unloadable)
    } catch {
      adapter.logHere(.error, "WSGI0502: The request that the server sent cannot be read: \(error).")
      return ScriptAnswer(.unloadable)
    }
  }

  private func logCallException(_ function: String, _ request: RequestHead) {
    guard let exception = PythonException.take() else { return }
    let place = "\(function)() of script '\(String(decoding: request.script, as: UTF8.self))'"
    if PythonException.isSystemExit(exception.object) {
      contents.log(exception.object, "WSGI0175: SystemExit raised by \(place); ignored.")
    } else {
      contents.log(exception.object, "WSGI0174: Exception \(exception.object.typeName) in \(place).")
    }
  }

  /// A fresh dict of the head's pairs, with what such scripts get besides.
  private func makeServiceEnviron(_ request: RequestHead) throws(Raised) -> PyRef {
    let environ = try PyRef.dict()
    let dict = environ.object
    for pair in pairs.dropLast(3) {
      let key = try PyRef.latin1(pair.key)
      guard let value = pair.value else {
        try dict.setItem(key.object, .none)
        continue
      }
      let isPath = pair.key.elementsEqual("DOCUMENT_ROOT".utf8)
      try dict.setItem(key, isPath ? try PyRef.fileSystem(value) : try PyRef.latin1(value))
    }
    try makeObjects(hasBody: false)
    try dict.setItem(contents.names.errors, errors.orNone)
    for key: StaticString in ["apache.version", "mod_wsgi.version"] {
      if let value = try contents.constants.orNone.item(key) { try dict.setItem(key, value) }
    }
    try dict.setItem("mod_wsgi.process_group", try PyRef.latin1(request.processGroup))
    try dict.setItem("mod_wsgi.application_group", try PyRef.latin1(request.applicationGroup))
    try dict.setItem("mod_ssl.is_https", try contents.sslType.make(RequestFunction(self, .isHTTPS)))
    try dict.setItem("mod_ssl.var_lookup", try contents.sslType.make(RequestFunction(self, .variable)))
    if request.flags.contains(.passRequest), let record = exchange.requestRecord {
      try dict.setItem(contents.names.requestRecord, try PyRef(capsule: record))
    }
    return environ
  }

  private func single(_ result: PyObj, usesUTF8: Bool) throws(Raised) -> ScriptAnswer {
    if result == .none { return ScriptAnswer(.none) }
    if result == .true { return ScriptAnswer(.yes) }
    if result == .false { return ScriptAnswer(.no) }
    if result.isBytes { return ScriptAnswer(.bytes, Array(result.bytes)) }
    guard result.isString else { return ScriptAnswer(.other, Array(result.typeName.utf8)) }
    if usesUTF8 { return ScriptAnswer(.string, Array((result.text ?? "").utf8)) }
    guard let bytes = result.latin1 else { throw Raised(.typeError, "result must hold latin-1 characters only") }
    return ScriptAnswer(.string, Array(bytes))
  }

  /// The items of an iterable; those before a bad one count.
  private func list(_ result: PyObj) throws(Raised) -> ScriptAnswer {
    let iterator: PyRef
    do throws(Raised) { iterator = try result.iterator() } catch {
      PythonException.clear()
      return ScriptAnswer(.other, Array(result.typeName.utf8))
    }
    var writer = FlatWriter(capacity: 256)
    writer.append(UInt32(0))
    var count: UInt32 = 0
    var isBad = false
    let empty = UnsafeRawBufferPointer(start: nil, count: 0)
    do throws(Raised) {
      while let item = try iterator.next() {
        if item.object.isBytes {
          writer.appendPair(item.object.bytes, empty)
        } else if let text = item.object.latin1 {
          writer.appendPair(text, empty)
        } else {
          isBad = true
          break
        }
        count &+= 1
      }
    } catch { contents.logException("WSGI0174: Exception while iterating over a script's answer.") }
    writer.patch(count, at: 0)
    return ScriptAnswer(isBad ? .badItem : .list, Array(writer.bytes))
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

  override func call(_ arguments: Arguments) throws(Raised) -> PyRef {
    guard runner.isActive, runner.callNumber == number else {
      throw Raised(.runtimeError, "request object has expired")
    }
    switch kind {
    case .isHTTPS:
      try arguments.expect(0...0, "is_https")
      return try .int(runner.exchange.isHTTPS ? 1 : 0)
    case .variable:
      try arguments.expect(1...1, "var_lookup")
      let argument = arguments[0] ?? .none
      let name: String
      if argument.isBytes {
        name = String(decoding: argument.bytes, as: UTF8.self)
      } else if let bytes = argument.latin1 {
        name = String(decoding: bytes, as: UTF8.self)
      } else {
        throw Raised(.typeError, "variable name must be str or bytes")
      }
      guard let value = runner.exchange.sslVariable(name) else { return .none() }
      return try PyRef(latin1: value)
    }
  }
}
