import PythonRuntime

/// What an application is given beside its environ, kept for the next request unless the application kept it.
struct RequestObjects: ~Copyable {
  var startResponse = KeptRef()
  var startResponseBehaviour: StartResponse?
  var input = KeptRef()
  var inputStream: InputStream?
  var errors = KeptRef()
  var errorsRaw = KeptRef()
  var errorsStream: LogStream?

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
