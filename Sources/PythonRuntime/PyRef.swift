public import CPython

/// The calling thread's Python error indicator is set. A catcher takes the exception (`PythonException.take`) or lets it
/// propagate into Python.
public struct Raised: Error {
  @inlinable public init() {}
}

/// A borrowed reference: valid while another owner has one, under the GIL.
@frozen
public struct PyObj: Equatable {
  public let pointer: UnsafeMutablePointer<PyObject>

  @inlinable public init(_ pointer: UnsafeMutablePointer<PyObject>) { self.pointer = pointer }

  @inlinable public init?(_ pointer: UnsafeMutablePointer<PyObject>?) {
    guard let pointer else { return nil }
    self.pointer = pointer
  }

  /// A new owned reference to the same object.
  @inlinable public func retained() -> PyRef { PyRef(retaining: pointer) }

  @inlinable public static var none: PyObj { PyObj(wsgi_py_none()) }
  @inlinable public static var `true`: PyObj { PyObj(wsgi_py_true()) }
  @inlinable public static var `false`: PyObj { PyObj(wsgi_py_false()) }

  @inlinable public var isNone: Bool { pointer == wsgi_py_none() }
  @inlinable public var isString: Bool { wsgi_py_is_unicode(pointer) }
  @inlinable public var isBytes: Bool { wsgi_py_is_bytes(pointer) }
  @inlinable public var isDict: Bool { wsgi_py_is_dict(pointer) }
  @inlinable public var isList: Bool { wsgi_py_is_list(pointer) }
  @inlinable public var isTuple: Bool { wsgi_py_is_tuple(pointer) }
  @inlinable public var isExactList: Bool { wsgi_py_is_exact_list(pointer) }
  @inlinable public var isExactTuple: Bool { wsgi_py_is_exact_tuple(pointer) }
  @inlinable public var isExactGenerator: Bool { wsgi_py_is_exact_generator(pointer) }
  @inlinable public var referenceCount: Int { wsgi_py_refcount(pointer) }
  public var typeName: String { String(cString: wsgi_py_type_name(pointer)) }
}

/// One owned reference, given back when the value ends. Made, used and ended under the GIL of the object's interpreter.
@frozen
public struct PyRef: ~Copyable {
  @usableFromInline let pointer: UnsafeMutablePointer<PyObject>

  /// Adopts a new reference.
  @inlinable public init(owning pointer: UnsafeMutablePointer<PyObject>) { self.pointer = pointer }

  /// Adopts what a C function returned; NULL means that it raised.
  @inlinable public init(result pointer: UnsafeMutablePointer<PyObject>?) throws(Raised) {
    guard let pointer else { throw Raised() }
    self.pointer = pointer
  }

  @inlinable public init(retaining pointer: UnsafeMutablePointer<PyObject>) {
    wsgi_py_incref(pointer)
    self.pointer = pointer
  }

  @inlinable deinit { wsgi_py_decref(pointer) }

  @inlinable public var object: PyObj { PyObj(pointer) }

  /// Gives up ownership, to hand the reference to CPython or to keep it in a `KeptRef`.
  @inlinable public consuming func release() -> UnsafeMutablePointer<PyObject> {
    let pointer = self.pointer
    discard self
    return pointer
  }
}

/// An owned reference that lives in a class: it is not given back automatically, as a class may end without the GIL.
/// `drop` gives it back.
@frozen
public struct KeptRef: ~Copyable {
  @usableFromInline var pointer: UnsafeMutablePointer<PyObject>?

  @inlinable public init() { pointer = nil }
  @inlinable public init(_ reference: consuming PyRef) { pointer = reference.release() }

  @inlinable public var object: PyObj? { PyObj(pointer) }

  /// The object; `None` when nothing is kept.
  @inlinable public var orNone: PyObj { PyObj(pointer) ?? .none }

  /// Keeps another reference, dropping the earlier one.
  @inlinable public mutating func set(_ reference: consuming PyRef, _ gil: borrowing GILToken) {
    let old = pointer
    pointer = reference.release()
    if let old { wsgi_py_decref(old) }
  }

  @inlinable public mutating func drop(_ gil: borrowing GILToken) {
    let old = pointer
    pointer = nil
    if let old { wsgi_py_decref(old) }
  }
}

/// Several of them, given back together.
public struct KeptRefs: ~Copyable {
  private var pointers: [UnsafeMutablePointer<PyObject>] = []

  public init() {}

  /// Keeps a reference; the object is valid until `drop`.
  public mutating func keep(_ reference: consuming PyRef) -> PyObj {
    let pointer = reference.release()
    pointers.append(pointer)
    return PyObj(pointer)
  }

  public mutating func intern(_ text: StaticString) throws(Raised) -> PyObj { keep(try PyRef.interned(text)) }

  public mutating func drop(_ gil: borrowing GILToken) {
    let old = pointers
    pointers = []
    for pointer in old { wsgi_py_decref(pointer) }
  }
}
