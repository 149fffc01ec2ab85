/// A Swift value that a Python object can be made of. Making it needs the GIL.
public protocol PythonValue {
  func makeObject() throws(Raised) -> PyRef
}

extension Int: PythonValue { public func makeObject() throws(Raised) -> PyRef { try .int(self) } }
extension UInt64: PythonValue { public func makeObject() throws(Raised) -> PyRef { try .int(Int(clamping: self)) } }
extension Double: PythonValue { public func makeObject() throws(Raised) -> PyRef { try .float(self) } }
extension Bool: PythonValue { public func makeObject() throws(Raised) -> PyRef { .bool(self) } }
extension String: PythonValue { public func makeObject() throws(Raised) -> PyRef { try .string(self) } }
extension Optional: PythonValue where Wrapped: PythonValue {
  public func makeObject() throws(Raised) -> PyRef { try self?.makeObject() ?? .none() }
}

extension Array: PythonValue where Element: PythonValue {
  public func makeObject() throws(Raised) -> PyRef {
    let list = try PyRef.list()
    for element in self { try list.object.append(try element.makeObject()) }
    return list
  }
}

extension PyObj {
  /// Sets an item of a dict.
  public func setItem(_ key: StaticString, _ value: some PythonValue) throws(Raised) {
    try setItem(key, try value.makeObject())
  }

  /// The same, of a key that is put together.
  public func setItem(named key: String, _ value: some PythonValue) throws(Raised) {
    try setItem(try PyRef.string(key), try value.makeObject())
  }
}
