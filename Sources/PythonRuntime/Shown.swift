import CPython

// Objects in messages about what an application may not give.

extension PyObj {
  /// `ascii()` of the object, cut after `limit` characters; its type's name where that raises. May run Python code.
  public func shown(limit: Int = 200) -> String {
    let kept = retained()
    var cut = false
    var shown: String?
    if isString || isBytes, PySequence_Size(pointer) > limit, let part = PySequence_GetSlice(pointer, 0, limit) {
      cut = true
      let part = PyRef(owning: part)
      shown = part.object.ascii
    } else {
      shown = kept.object.ascii
    }
    PyErr_Clear()
    guard let shown else { return "<\(typeName) object>" }
    // Python escaped all else: every character is a byte.
    return cut || shown.utf8.count > limit ? String(shown.prefix(limit)) + "..." : shown
  }

  private var ascii: String? {
    guard let ascii = PyObject_ASCII(pointer) else { return nil }
    let reference = PyRef(owning: ascii)
    return reference.object.text
  }
}

extension Raised {
  /// The UnicodeEncodeError of a str that is not latin-1; its sentence also says what `what` is.
  public static func notLatin1(_ text: PyObj, _ what: String) -> Raised {
    let kept = text.retained()
    do throws(Raised) {
      _ = try PyRef(result: PyUnicode_AsLatin1String(kept.object.pointer))
      return Raised(.valueError, "\(what) is not latin-1: \(kept.object.shown())")
    } catch {
      guard let exception = PythonException.take() else { return error }
      do throws(Raised) {
        let reason = try PyRef.string("ordinal not in range(256), in \(what): \(kept.object.shown())")
        try exception.object.setAttribute("reason", reason)
      } catch {
        PythonException.clear()
      }
      return Raised(exception)
    }
  }
}
