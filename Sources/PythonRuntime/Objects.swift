public import CPython

// Making and reading Python objects. Everything here needs the GIL.

extension PyRef {
  @inlinable public static func latin1(_ bytes: UnsafeRawBufferPointer) throws(Raised) -> PyRef {
    try PyRef(result: PyUnicode_DecodeLatin1(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, nil))
  }

  /// Decodes with the file system encoding and surrogateescape; latin-1 where that fails.
  public static func fileSystem(_ bytes: UnsafeRawBufferPointer) throws(Raised) -> PyRef {
    if let text = PyUnicode_DecodeFSDefaultAndSize(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count) {
      return PyRef(owning: text)
    }
    PyErr_Clear()
    return try latin1(bytes)
  }

  public static func string(_ text: String) throws(Raised) -> PyRef {
    var text = text
    return try PyRef(
      result: text.withUTF8 { utf8 in
        PyUnicode_DecodeUTF8(
          UnsafeRawPointer(utf8.baseAddress)?.assumingMemoryBound(to: CChar.self), utf8.count, "replace")
      })
  }

  /// UTF-8 with invalid sequences replaced.
  public static func utf8(_ bytes: UnsafeRawBufferPointer) throws(Raised) -> PyRef {
    try PyRef(result: PyUnicode_DecodeUTF8(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, "replace"))
  }

  public static func interned(_ text: StaticString) throws(Raised) -> PyRef {
    try PyRef(
      result: UnsafeRawPointer(text.utf8Start).withMemoryRebound(to: CChar.self, capacity: text.utf8CodeUnitCount) {
        PyUnicode_InternFromString($0)
      })
  }

  @inlinable public static func bytes(_ bytes: UnsafeRawBufferPointer) throws(Raised) -> PyRef {
    try PyRef(result: PyBytes_FromStringAndSize(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count))
  }

  @inlinable public static func int(_ value: Int) throws(Raised) -> PyRef { try PyRef(result: PyLong_FromLongLong(Int64(value))) }
  @inlinable public static func float(_ value: Double) throws(Raised) -> PyRef { try PyRef(result: PyFloat_FromDouble(value)) }
  public static func bool(_ value: Bool) -> PyRef { (value ? PyObj.true : PyObj.false).retained() }
  public static func dict() throws(Raised) -> PyRef { try PyRef(result: PyDict_New()) }
  public static func list() throws(Raised) -> PyRef { try PyRef(result: PyList_New(0)) }
  public static func none() -> PyRef { PyObj.none.retained() }

  public static func versionTuple(_ a: Int, _ b: Int, _ c: Int) throws(Raised) -> PyRef { try .intTuple([a, b, c]) }

  public static func intTuple(_ values: [Int]) throws(Raised) -> PyRef {
    let tuple = try PyRef(result: PyTuple_New(values.count))
    for (index, value) in values.enumerated() {
      // PyTuple_SetItem steals, also on failure.
      guard PyTuple_SetItem(tuple.pointer, index, try PyRef.int(value).release()) == 0 else { throw Raised() }
    }
    return tuple
  }
}

extension PyObj {
  /// The latin-1 bytes of a str, valid while the str lives; nil where it is no str or holds a character above U+00FF.
  @inlinable public var latin1: UnsafeRawBufferPointer? {
    guard isString else { return nil }
    var length = 0
    guard let bytes = wsgi_py_latin1(pointer, &length) else { return nil }
    return UnsafeRawBufferPointer(start: bytes, count: length)
  }

  /// How many characters a str has.
  public var characterCount: Int { max(PyUnicode_GetLength(pointer), 0) }

  /// The contents of a bytes object, valid while it lives.
  @inlinable public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: wsgi_py_bytes_data(pointer), count: wsgi_py_bytes_size(pointer))
  }

  /// A str's text, with what is not valid Unicode replaced; nil for other types.
  public var text: String? {
    guard isString else { return nil }
    var length = 0
    if let utf8 = PyUnicode_AsUTF8AndSize(pointer, &length) {
      return String(decoding: UnsafeRawBufferPointer(start: utf8, count: length), as: UTF8.self)
    }
    PyErr_Clear()
    guard let bytes = PyUnicode_AsEncodedString(pointer, "utf-8", "backslashreplace") else {
      PyErr_Clear()
      return nil
    }
    let reference = PyRef(owning: bytes)
    return String(decoding: reference.object.bytes, as: UTF8.self)
  }

  /// A str in UTF-8, valid while it lives; throws UnicodeEncodeError where it holds a lone surrogate, TypeError for others.
  public func utf8() throws(Raised) -> UnsafeRawBufferPointer {
    var length = 0
    guard let bytes = PyUnicode_AsUTF8AndSize(pointer, &length) else { throw Raised() }
    return UnsafeRawBufferPointer(start: bytes, count: length)
  }

  /// An int's value; throws TypeError or OverflowError as Python does.
  public func int() throws(Raised) -> Int {
    let value = PyLong_AsLongLong(pointer)
    if value == -1 && PyErr_Occurred() != nil { throw Raised() }
    return Int(value)
  }

  /// A float's value, or what can be taken for one.
  public func double() throws(Raised) -> Double {
    let value = PyFloat_AsDouble(pointer)
    if value == -1 && PyErr_Occurred() != nil { throw Raised() }
    return value
  }

  public func attribute(_ name: StaticString) throws(Raised) -> PyRef {
    try PyRef(
      result: UnsafeRawPointer(name.utf8Start).withMemoryRebound(to: CChar.self, capacity: name.utf8CodeUnitCount) {
        PyObject_GetAttrString(pointer, $0)
      })
  }

  @inlinable public func attribute(_ name: PyObj) throws(Raised) -> PyRef {
    try PyRef(result: PyObject_GetAttr(pointer, name.pointer))
  }

  /// The attribute, or nil where there is none; other failures throw.
  public func attributeIfPresent(_ name: PyObj) throws(Raised) -> PyRef? {
    if let value = PyObject_GetAttr(pointer, name.pointer) { return PyRef(owning: value) }
    guard PyErr_ExceptionMatches(wsgi_py_exception_attribute_error()) != 0 else { throw Raised() }
    PyErr_Clear()
    return nil
  }

  public func setAttribute(_ name: StaticString, _ value: PyObj) throws(Raised) {
    let result = UnsafeRawPointer(name.utf8Start).withMemoryRebound(to: CChar.self, capacity: name.utf8CodeUnitCount) {
      PyObject_SetAttrString(pointer, $0, value.pointer)
    }
    guard result == 0 else { throw Raised() }
  }

  // MARK: calls

  @inlinable public func call() throws(Raised) -> PyRef { try PyRef(result: PyObject_CallNoArgs(pointer)) }
  @inlinable public func call(_ a: PyObj) throws(Raised) -> PyRef { try PyRef(result: wsgi_py_call1(pointer, a.pointer)) }
  @inlinable public func call(_ a: PyObj, _ b: PyObj) throws(Raised) -> PyRef {
    try PyRef(result: wsgi_py_call2(pointer, a.pointer, b.pointer))
  }

  /// Calls with the items of a tuple, and of a dict as keywords.
  public func call(arguments: PyObj, keywords: PyObj?) throws(Raised) -> PyRef {
    try PyRef(result: PyObject_Call(pointer, arguments.pointer, keywords?.pointer))
  }

  /// Calls with any number of positional arguments.
  public func call(_ arguments: [PyObj]) throws(Raised) -> PyRef {
    let tuple = try PyRef(result: PyTuple_New(arguments.count))
    for (index, argument) in arguments.enumerated() {
      guard PyTuple_SetItem(tuple.pointer, index, argument.retained().release()) == 0 else { throw Raised() }
    }
    return try call(arguments: tuple.object, keywords: nil)
  }

  @inlinable public func iterator() throws(Raised) -> PyRef { try PyRef(result: PyObject_GetIter(pointer)) }

  /// The next item of an iterator; nil at its end.
  @inlinable public func next() throws(Raised) -> PyRef? {
    if let item = PyIter_Next(pointer) { return PyRef(owning: item) }
    if PyErr_Occurred() != nil { throw Raised() }
    return nil
  }

  public func isInstance(of type: PyObj) throws(Raised) -> Bool {
    let result = PyObject_IsInstance(pointer, type.pointer)
    guard result >= 0 else { throw Raised() }
    return result == 1
  }

  // MARK: dict

  /// A dict's value, borrowed; nil where there is none.
  @inlinable public func item(_ key: PyObj) throws(Raised) -> PyObj? {
    if let value = PyDict_GetItemWithError(pointer, key.pointer) { return PyObj(value) }
    if PyErr_Occurred() != nil { throw Raised() }
    return nil
  }

  @inlinable public func setItem(_ key: PyObj, _ value: PyObj) throws(Raised) {
    guard PyDict_SetItem(pointer, key.pointer, value.pointer) == 0 else { throw Raised() }
  }

  public func setItem(_ key: StaticString, _ value: PyObj) throws(Raised) {
    let key = try PyRef.interned(key)
    try setItem(key.object, value)
  }

  /// Removes a key of a dict, if it is there.
  public func removeItem(_ key: PyObj) throws(Raised) {
    guard try item(key) != nil else { return }
    guard PyDict_DelItem(pointer, key.pointer) == 0 else { throw Raised() }
  }

  public func copyDict() throws(Raised) -> PyRef { try PyRef(result: PyDict_Copy(pointer)) }

  /// Adds a dict's items to this one.
  public func update(from other: PyObj) throws(Raised) {
    guard PyDict_Update(pointer, other.pointer) == 0 else { throw Raised() }
  }

  // MARK: list and tuple

  /// The number of items of a list (or a subclass's).
  @inlinable public var listCount: Int { wsgi_py_list_size(pointer) }
  @inlinable public func listItem(_ index: Int) -> PyObj { PyObj(wsgi_py_list_item(pointer, index)) }
  @inlinable public var tupleCount: Int { wsgi_py_tuple_size(pointer) }
  @inlinable public func tupleItem(_ index: Int) -> PyObj { PyObj(wsgi_py_tuple_item(pointer, index)) }

  public func append(_ value: PyObj) throws(Raised) {
    guard PyList_Append(pointer, value.pointer) == 0 else { throw Raised() }
  }
}

/// The built-in exceptions that this module raises.
public enum ExceptionKind {
  case typeError, valueError, runtimeError, osError, memoryError

  var object: UnsafeMutablePointer<PyObject> {
    switch self {
    case .typeError: wsgi_py_exception_type_error()
    case .valueError: wsgi_py_exception_value_error()
    case .runtimeError: wsgi_py_exception_runtime_error()
    case .osError: wsgi_py_exception_os_error()
    case .memoryError: wsgi_py_exception_memory_error()
    }
  }
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

  /// Runs code in a module's namespace.
  public static func run(_ code: PyObj, in namespace: PyObj) throws(Raised) {
    _ = try PyRef(result: PyEval_EvalCode(code.pointer, namespace.pointer, namespace.pointer))
  }

  public static func importModule(_ name: String) throws(Raised) -> PyRef {
    try PyRef(result: name.withCString { PyImport_ImportModule($0) })
  }

  /// The dict of loaded modules, borrowed.
  public static var modules: PyObj { PyObj(PyImport_GetModuleDict()) }

  /// A module's namespace, borrowed.
  public static func namespace(of module: PyObj) throws(Raised) -> PyObj {
    guard let dict = PyModule_GetDict(module.pointer) else { throw Raised() }
    return PyObj(dict)
  }

  public static var builtins: PyObj { PyObj(PyEval_GetBuiltins()) }

  /// `sys.<name>`, borrowed; nil where it was deleted.
  public static func sys(_ name: String) -> PyObj? { PyObj(name.withCString { PySys_GetObject($0) }) }
}

extension PyObj {
  /// Lends the contents of any object with the buffer interface; TypeError for others.
  public func withBuffer(_ body: (UnsafeRawBufferPointer) -> Void) throws(Raised) {
    var view = Py_buffer()
    guard PyObject_GetBuffer(pointer, &view, PyBUF_SIMPLE) == 0 else { throw Raised() }
    body(UnsafeRawBufferPointer(start: view.buf, count: view.len))
    PyBuffer_Release(&view)
  }
}

extension PyRef {
  /// str(object).
  public static func describing(_ object: PyObj) throws(Raised) -> PyRef { try PyRef(result: PyObject_Str(object.pointer)) }

  public static func bytes(_ bytes: [UInt8]) throws(Raised) -> PyRef {
    try PyRef(
      result: bytes.withUnsafeBytes {
        PyBytes_FromStringAndSize($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
      })
  }
}

extension PyRef {
  /// A capsule without a name around a pointer that the server owns.
  public init(capsule pointer: UnsafeMutableRawPointer) throws(Raised) {
    try self.init(result: PyCapsule_New(pointer, nil, nil))
  }

  /// (type, value, traceback) of an exception.
  public init(excInfoOf exception: PyObj) throws(Raised) {
    let traceback = try exception.attribute("__traceback__")
    let type = UnsafeMutableRawPointer(wsgi_py_type(exception.pointer)).assumingMemoryBound(to: PyObject.self)
    let tuple = try PyRef(result: PyTuple_New(3))
    for (index, item) in [PyObj(type), exception, traceback.object].enumerated() {
      guard PyTuple_SetItem(tuple.object.pointer, index, item.retained().release()) == 0 else { throw Raised() }
    }
    self = tuple
  }

  @inlinable public borrowing func call(_ a: PyObj, _ b: PyObj) throws(Raised) -> PyRef { try object.call(a, b) }
}

extension PyObj {
  public func setAttribute(_ name: StaticString, _ value: borrowing PyRef) throws(Raised) {
    try setAttribute(name, value.object)
  }

  /// The number of items of an exact list or tuple.
  @inlinable public var sequenceCount: Int { isExactList ? listCount : tupleCount }
}

extension PyRef {
  public init(latin1 bytes: [UInt8]) throws(Raised) {
    try self.init(
      result: bytes.withUnsafeBytes {
        PyUnicode_DecodeLatin1($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count, nil)
      })
  }
}
