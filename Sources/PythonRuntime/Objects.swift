public import CPython

// Making and reading Python objects. Everything here needs the GIL.

extension UnsafeRawBufferPointer {
  @inlinable var chars: UnsafePointer<CChar>? { baseAddress?.assumingMemoryBound(to: CChar.self) }
}

extension StaticString {
  /// A C string: literals end in a NUL.
  var chars: UnsafePointer<CChar> { UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self) }
}

extension PyRef {
  @inlinable public static func latin1(_ bytes: UnsafeRawBufferPointer) throws(Raised) -> PyRef {
    try PyRef(result: PyUnicode_DecodeLatin1(bytes.chars, bytes.count, nil))
  }

  public static func latin1(_ bytes: [UInt8]) throws(Raised) -> PyRef {
    try PyRef(result: bytes.withUnsafeBytes { PyUnicode_DecodeLatin1($0.chars, $0.count, nil) })
  }

  /// Decodes with the file system encoding and surrogateescape; latin-1 where that fails.
  public static func fileSystem(_ bytes: UnsafeRawBufferPointer) throws(Raised) -> PyRef {
    if let text = PyUnicode_DecodeFSDefaultAndSize(bytes.chars, bytes.count) {
      return PyRef(owning: text)
    }
    PyErr_Clear()
    return try latin1(bytes)
  }

  public static func string(_ text: String) throws(Raised) -> PyRef {
    var text = text
    return try PyRef(result: text.withUTF8 { PyUnicode_DecodeUTF8(UnsafeRawBufferPointer($0).chars, $0.count, "replace") })
  }

  /// UTF-8 with invalid sequences replaced.
  public static func utf8(_ bytes: UnsafeRawBufferPointer) throws(Raised) -> PyRef {
    try PyRef(result: PyUnicode_DecodeUTF8(bytes.chars, bytes.count, "replace"))
  }

  public static func interned(_ text: StaticString) throws(Raised) -> PyRef {
    try PyRef(result: PyUnicode_InternFromString(text.chars))
  }

  @inlinable public static func bytes(_ bytes: UnsafeRawBufferPointer) throws(Raised) -> PyRef {
    try PyRef(result: PyBytes_FromStringAndSize(bytes.chars, bytes.count))
  }

  public static func bytes(_ bytes: [UInt8]) throws(Raised) -> PyRef {
    try PyRef(result: bytes.withUnsafeBytes { PyBytes_FromStringAndSize($0.chars, $0.count) })
  }

  @inlinable public static func int(_ value: Int) throws(Raised) -> PyRef { try PyRef(result: PyLong_FromLongLong(Int64(value))) }
  @inlinable public static func float(_ value: Double) throws(Raised) -> PyRef { try PyRef(result: PyFloat_FromDouble(value)) }
  public static func bool(_ value: Bool) -> PyRef { (value ? PyObj.true : PyObj.false).retained() }
  public static func dict() throws(Raised) -> PyRef { try PyRef(result: PyDict_New()) }
  public static func list() throws(Raised) -> PyRef { try PyRef(result: PyList_New(0)) }
  public static func none() -> PyRef { PyObj.none.retained() }

  public static func tuple(_ items: [PyObj]) throws(Raised) -> PyRef { try tuple(items.count) { items[$0].retained() } }
  public static func tuple(_ items: [Int]) throws(Raised) -> PyRef {
    try tuple(items.count) { index throws(Raised) in try .int(items[index]) }
  }

  private static func tuple(_ count: Int, _ item: (Int) throws(Raised) -> PyRef) throws(Raised) -> PyRef {
    let tuple = try PyRef(result: PyTuple_New(count))
    for index in 0..<count {
      // PyTuple_SetItem steals, also on failure.
      guard PyTuple_SetItem(tuple.pointer, index, try item(index).release()) == 0 else { throw Raised() }
    }
    return tuple
  }

  /// str(object).
  public static func describing(_ object: PyObj) throws(Raised) -> PyRef { try PyRef(result: PyObject_Str(object.pointer)) }

  /// A capsule without a name around a pointer that the server owns.
  public init(capsule pointer: UnsafeMutableRawPointer) throws(Raised) {
    try self.init(result: PyCapsule_New(pointer, nil, nil))
  }

  /// (type, value, traceback) of an exception.
  public init(excInfoOf exception: PyObj) throws(Raised) {
    let traceback = try exception.attribute("__traceback__")
    let type = UnsafeMutableRawPointer(wsgi_py_type(exception.pointer)).assumingMemoryBound(to: PyObject.self)
    self = try .tuple([PyObj(type), exception, traceback.object])
  }
}

extension PyObj {
  /// The latin-1 bytes of a str, valid while the str lives; nil for other types, and where it holds a character above U+00FF.
  @inlinable public var latin1: UnsafeRawBufferPointer? {
    guard isString else { return nil }
    var length = 0
    guard let bytes = wsgi_py_latin1(pointer, &length) else { return nil }
    return UnsafeRawBufferPointer(start: bytes, count: length)
  }

  /// The number of characters of a str.
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
    try PyRef(result: PyObject_GetAttrString(pointer, name.chars))
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
    guard PyObject_SetAttrString(pointer, name.chars, value.pointer) == 0 else { throw Raised() }
  }

  // MARK: calls

  @inlinable public func call() throws(Raised) -> PyRef { try PyRef(result: PyObject_CallNoArgs(pointer)) }
  @inlinable public func call(_ a: PyObj) throws(Raised) -> PyRef { try PyRef(result: wsgi_py_call1(pointer, a.pointer)) }
  @inlinable public func call(_ a: PyObj, _ b: PyObj) throws(Raised) -> PyRef {
    try PyRef(result: wsgi_py_call2(pointer, a.pointer, b.pointer))
  }

  /// Calls with any number of positional arguments.
  public func call(_ arguments: [PyObj]) throws(Raised) -> PyRef {
    let tuple = try PyRef.tuple(arguments)
    return try PyRef(result: PyObject_CallObject(pointer, tuple.pointer))
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

  /// Whether Python takes it for true.
  public func isTrue() throws(Raised) -> Bool {
    let result = PyObject_IsTrue(pointer)
    guard result >= 0 else { throw Raised() }
    return result == 1
  }

  /// Lends the contents of any object with the buffer interface; TypeError for others.
  public func withBuffer(_ body: (UnsafeRawBufferPointer) -> Void) throws(Raised) {
    var view = Py_buffer()
    guard PyObject_GetBuffer(pointer, &view, PyBUF_SIMPLE) == 0 else { throw Raised() }
    body(UnsafeRawBufferPointer(start: view.buf, count: view.len))
    PyBuffer_Release(&view)
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
  /// The number of items of an exact list or tuple.
  @inlinable public var sequenceCount: Int { isExactList ? listCount : tupleCount }

  public func append(_ value: PyObj) throws(Raised) {
    guard PyList_Append(pointer, value.pointer) == 0 else { throw Raised() }
  }
}
