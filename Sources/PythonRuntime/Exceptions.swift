import CPython

// Exceptions, and the code that raises them. Everything here needs the GIL.

/// The built-in exceptions that this module raises.
public struct ExceptionKind {
  let object: UnsafeMutablePointer<PyObject>
  public static var typeError: Self { Self(object: wsgi_py_exception_type_error()) }
  public static var valueError: Self { Self(object: wsgi_py_exception_value_error()) }
  public static var runtimeError: Self { Self(object: wsgi_py_exception_runtime_error()) }
  public static var osError: Self { Self(object: wsgi_py_exception_os_error()) }
  public static var memoryError: Self { Self(object: wsgi_py_exception_memory_error()) }
}

extension Raised {
  /// Sets the error indicator.
  public init(_ kind: ExceptionKind, _ message: String) {
    if let text = try? PyRef.string(message) { PyErr_SetObject(kind.object, text.object.pointer) }
  }

  /// Raises the exception that an exc_info tuple describes; its three items are borrowed.
  public init(excInfo type: PyObj, _ value: PyObj, _ traceback: PyObj) {
    wsgi_py_raise_exc_info(type.pointer, value.pointer, traceback.pointer)
  }

  /// Raises an exception object again.
  public init(_ exception: consuming PyRef) { wsgi_py_restore_exception(exception.release()) }
}

/// An exception taken from the error indicator.
public enum PythonException {
  /// Takes and clears the indicator; nil where no exception is set.
  public static func take() -> PyRef? {
    guard let exception = wsgi_py_take_exception() else { return nil }
    return PyRef(owning: exception)
  }

  public static func clear() { PyErr_Clear() }

  /// The result of `body`; nil where it raises: that exception is dropped.
  @discardableResult
  public static func ignoring<R>(_ body: () throws -> R?) -> R? {
    do { return try body() } catch {
      PyErr_Clear()
      return nil
    }
  }

  public static func isSystemExit(_ exception: PyObj) -> Bool {
    PyErr_GivenExceptionMatches(exception.pointer, wsgi_py_exception_system_exit()) != 0
  }

  public static func matches(_ exception: PyObj, _ type: PyObj) -> Bool {
    PyErr_GivenExceptionMatches(exception.pointer, type.pointer) != 0
  }
}

/// Makes modules and runs source.
public enum PythonCode {
  /// Compiles `source` as a module's text. `file` is its `__file__` in tracebacks.
  public static func compile(_ source: String, file: String) throws(Raised) -> PyRef {
    try PyRef(result: Py_CompileStringExFlags(source, file, Py_file_input, nil, -1))
  }

  /// The code of a source that the build has compiled already; nil where it was built without, or for another Python.
  public static func precompiled(_ name: String) -> PyRef? { wsgi_py_precompiled(name).map { PyRef(owning: $0) } }

  /// Runs code in a module's namespace.
  public static func run(_ code: PyObj, in namespace: PyObj) throws(Raised) {
    _ = try PyRef(result: PyEval_EvalCode(code.pointer, namespace.pointer, namespace.pointer))
  }

  public static func importModule(_ name: String) throws(Raised) -> PyRef { try PyRef(result: PyImport_ImportModule(name)) }

  /// The dict of loaded modules, borrowed.
  public static var modules: PyObj { PyObj(PyImport_GetModuleDict()) }

  /// A loaded extension module that keeps one state for all interpreters (single-phase initialisation), of those that are not
  /// part of Python. Attached.
  public static var singlePhaseModule: String? { wsgi_py_single_phase_module().map { String(cString: $0) } }
  /// The same of one whose code attaches threads to the main interpreter (`PyGILState_Ensure`).
  public static var gilStateModule: String? { wsgi_py_gilstate_module().map { String(cString: $0) } }

  /// A module's namespace, borrowed.
  public static func namespace(of module: PyObj) throws(Raised) -> PyObj {
    guard let dict = PyModule_GetDict(module.pointer) else { throw Raised() }
    return PyObj(dict)
  }

  public static var builtins: PyObj { PyObj(PyEval_GetBuiltins()) }

  /// `sys.<name>`, borrowed; nil where it was deleted.
  public static func sys(_ name: String) -> PyObj? { PyObj(PySys_GetObject(name)) }
}

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
