import PythonRuntime
import WSGICore

/// The objects that an application is given beside its environ, kept for the next request unless the application kept it.
struct RequestObjects: ~Copyable {
  var startResponse = KeptRef()
  var startResponseBehaviour: StartResponse?
  var input = KeptRef()
  var inputStream: InputStream?
  var errors = KeptRef()
  var errorsRaw = KeptRef()
  var errorsStream: LogStream?

  /// Lets go of all: the interpreter is about to end.
  mutating func drop(_ gil: borrowing GILToken) {
    startResponse.drop(gil)
    input.drop(gil)
    errors.drop(gil)
    errorsRaw.drop(gil)
    (startResponseBehaviour, inputStream, errorsStream) = (nil, nil, nil)
  }

  /// Their request is over. Attached.
  mutating func finish(_ gil: borrowing GILToken) {
    if let object = startResponse.object, object.referenceCount > 1 {
      startResponseBehaviour?.isValid = false
      startResponse.drop(gil)
    }
    if let object = input.object, object.referenceCount > 1 {
      inputStream?.isValid = false
      input.drop(gil)
      inputStream = nil
    }
    if let text = errors.object, let raw = errorsRaw.object, let stream = errorsStream {
      stream.isActive = false
      if text.referenceCount > 1 || raw.referenceCount > 2 || stream.wasClosed {
        errors.drop(gil)
        errorsRaw.drop(gil)
        errorsStream = nil
      }
    }
  }
}

extension RequestRunner {
  func makeEnviron(_ request: RequestHead, _ gil: borrowing GILToken) throws -> PyRef {
    let names = contents.names
    guard let layout = try attachment.environ.layout(pairs.all, gil) else { throw FlatFailure.truncated }
    if layout.isNew {
      let items = layout.items
      try items.update(from: contents.constants.orNone)
      try items.setItem(names.threadID, try PyRef.int(threadOrdinal))
      // Places for what differs in every request, so that setting them does not make the copy grow.
      for key in [
        names.input, names.errors, names.urlScheme, names.requestStart, names.queueStart, names.daemonStart,
        names.applicationStart,
      ] { try items.setItem(key, .none) }
    }
    let environ = try layout.finish(gil)
    let dict = environ.object
    try makeObjects(hasBody: request.flags.contains(.hasBody), gil)
    try dict.setItem(names.input, objects.input.orNone)
    try dict.setItem(names.errors, objects.errors.orNone)
    try dict.setItem(names.urlScheme, request.flags.contains(.https) ? contents.schemeHTTPS : contents.schemeHTTP)
    try dict.setItem(names.requestStart, try PyRef.float(Double(request.requestStart) / 1e6))
    if adapter.settings.isDaemon {
      try dict.setItem(names.queueStart, try PyRef.float(Double(request.queueStart) / 1e6))
      try dict.setItem(names.daemonStart, try PyRef.float(Double(takenUp) / 1e6))
    } else {
      try dict.setItem(names.queueStart, contents.zero)
      try dict.setItem(names.daemonStart, contents.zero)
    }
    if request.flags.contains(.passRequest), let record = exchange.requestRecord {
      try dict.setItem(names.requestRecord, try PyRef(capsule: record))
    }
    return environ
  }

  /// Makes the per-request objects that cannot be used again.
  func makeObjects(hasBody: Bool, _ gil: borrowing GILToken) throws(Raised) {
    if objects.startResponse.object == nil {
      let behaviour = StartResponse(self)
      objects.startResponse.set(try contents.types.startResponse.make(behaviour), gil)
      objects.startResponseBehaviour = behaviour
    }
    if objects.input.object == nil {
      let stream = InputStream(self)
      objects.input.set(try contents.types.input.make(stream), gil)
      objects.inputStream = stream
    }
    objects.inputStream?.reset(hasBody: hasBody)
    if objects.errors.object == nil {
      let stream = LogStream(adapter, request: self)
      let raw = try contents.makeLog(stream, "<wsgi.errors>")
      objects.errorsRaw.set(raw.object.retained(), gil)
      objects.errors.set(try contents.makeStream.call(raw), gil)
      objects.errorsStream = stream
    }
    objects.errorsStream?.isActive = true
  }

  /// Ends the request's objects; those that an application still refers to are replaced for the next one.
  func finish(_ gil: borrowing GILToken) {
    leaveHost(gil)
    objects.errorsStream?.flushTail()
    contents.flushStandardStreams()
    objects.finish(gil)
    if let id = requestID.object { contents.forgetRequest(id) }
    requestID.drop(gil)
    requestData.drop(gil)
    substitute.drop(gil)
  }
}
