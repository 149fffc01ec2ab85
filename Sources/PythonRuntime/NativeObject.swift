import CPython

/// The positional arguments of a call from Python, borrowed for the call.
public struct Arguments {
  let base: UnsafePointer<UnsafeMutablePointer<PyObject>?>?
  public let count: Int

  public subscript(index: Int) -> PyObj? {
    guard index >= 0, index < count, let base else { return nil }
    return PyObj(base[index])
  }

  /// Checks the number of arguments; raises TypeError as Python words it.
  public func expect(_ range: ClosedRange<Int>, _ name: StaticString) throws(Raised) {
    guard range.contains(count) else {
      let wanted = range.lowerBound == range.upperBound ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
      throw Raised(.typeError, "\(name)() takes \(wanted) positional arguments but \(count) were given")
    }
  }
}

/// The behaviour of a Python object, in Swift. Python's object keeps this one alive; all of its methods are called under the
/// GIL of the interpreter that the object was made in.
open class NativeObject {
  public init() {}

  /// The object is called.
  open func call(_ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    throw Raised(.typeError, "object is not callable")
  }

  /// A method is called; `index` is its place in the type's list.
  open func invoke(_ method: Int, _ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    throw Raised(.runtimeError, "no such method")
  }

  /// The next item, for iterators; nil at the end.
  open func next(_ gil: borrowing GILToken) throws(Raised) -> PyRef? { nil }
}

/// A Python type whose instances are native objects, in one interpreter.
public struct NativeType {
  public struct Traits: OptionSet, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    public static let callable = Traits(rawValue: Int32(WSGI_PY_CALLABLE))
    public static let iterator = Traits(rawValue: Int32(WSGI_PY_ITERATOR))
    public static let hasDict = Traits(rawValue: Int32(WSGI_PY_DICT))
  }

  public let type: PyObj

  /// Lets go of the type; its instances keep it. None can be made any more.
  public func drop(_ gil: borrowing GILToken) { wsgi_py_decref(type.pointer) }

  /// Makes the type in the current interpreter; it lives until `drop`.
  public init(_ name: StaticString, methods: [StaticString], traits: Traits) throws(Raised) {
    let names = methods.map { Optional($0.chars) }
    guard let made = wsgi_py_native_type(name.chars, names, Int32(methods.count), traits.rawValue) else { throw Raised() }
    type = PyObj(made)
  }

  /// A new Python object that behaves as `object`.
  public func make(_ object: NativeObject) throws(Raised) -> PyRef {
    let context = Unmanaged.passRetained(object).toOpaque()
    guard let made = wsgi_py_native_new(type.pointer, context) else {
      Unmanaged<NativeObject>.fromOpaque(context).release()
      throw Raised()
    }
    return PyRef(owning: made)
  }
}

/// The result for Python of a function of the object behind `context`: a new reference, or NULL with the indicator set.
@inline(__always)
private func returned(
  _ context: UnsafeMutableRawPointer?, _ body: (NativeObject) throws(Raised) -> PyRef?
) -> UnsafeMutablePointer<PyObject>? {
  guard let context else { return nil }
  return Unmanaged<NativeObject>.fromOpaque(context)._withUnsafeGuaranteedRef { object in
    do throws(Raised) {
      guard let result = try body(object) else { return nil }
      return result.release()
    } catch { return nil }
  }
}

@c @implementation
func wsgi_swift_native_call(
  _ context: UnsafeMutableRawPointer?, _ arguments: UnsafePointer<UnsafeMutablePointer<PyObject>?>?, _ count: Int
) -> UnsafeMutablePointer<PyObject>? {
  returned(context) { object throws(Raised) in try object.call(Arguments(base: arguments, count: count), GILToken()) }
}

@c @implementation
func wsgi_swift_native_method(
  _ context: UnsafeMutableRawPointer?, _ index: Int32, _ arguments: UnsafePointer<UnsafeMutablePointer<PyObject>?>?,
  _ count: Int
) -> UnsafeMutablePointer<PyObject>? {
  returned(context) { object throws(Raised) in
    try object.invoke(Int(index), Arguments(base: arguments, count: count), GILToken())
  }
}

@c @implementation
func wsgi_swift_native_next(_ context: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<PyObject>? {
  returned(context) { object throws(Raised) in try object.next(GILToken()) }
}

@c @implementation
func wsgi_swift_native_released(_ context: UnsafeMutableRawPointer?) {
  guard let context else { return }
  Unmanaged<NativeObject>.fromOpaque(context).release()
}
