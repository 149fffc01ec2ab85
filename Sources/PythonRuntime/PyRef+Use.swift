// The same verbs for owned references. A temporary `PyRef` ends as soon as `object` has been read from it, so that
// `f(make().object)` would call f with a dead pointer; lent as a whole it lives until the call returns. `make lint` looks for
// the former.

extension PyRef {
  @inlinable public borrowing func attribute(_ name: StaticString) throws(Raised) -> PyRef { try object.attribute(name) }
  @inlinable public borrowing func call() throws(Raised) -> PyRef { try object.call() }
  @inlinable public borrowing func call(_ a: borrowing PyRef) throws(Raised) -> PyRef { try object.call(a.object) }
  @inlinable public borrowing func call(_ a: PyObj) throws(Raised) -> PyRef { try object.call(a) }
  @inlinable public borrowing func iterator() throws(Raised) -> PyRef { try object.iterator() }
  @inlinable public borrowing func next() throws(Raised) -> PyRef? { try object.next() }
  @inlinable public borrowing func call(_ a: PyObj, _ b: PyObj) throws(Raised) -> PyRef { try object.call(a, b) }
  public borrowing func isTrue() throws(Raised) -> Bool { try object.isTrue() }
  public borrowing func int() throws(Raised) -> Int { try object.int() }
  public borrowing func double() throws(Raised) -> Double { try object.double() }
  public borrowing func text() -> String? { object.text }
}

extension PyObj {
  public func setAttribute(_ name: StaticString, _ value: borrowing PyRef) throws(Raised) {
    try setAttribute(name, value.object)
  }
  @inlinable public func call(_ a: borrowing PyRef) throws(Raised) -> PyRef { try call(a.object) }
  public func setItem(_ key: StaticString, _ value: borrowing PyRef) throws(Raised) { try setItem(key, value.object) }
  @inlinable public func setItem(_ key: PyObj, _ value: borrowing PyRef) throws(Raised) { try setItem(key, value.object) }
  public func setItem(_ key: borrowing PyRef, _ value: borrowing PyRef) throws(Raised) {
    try setItem(key.object, value.object)
  }
  public func item(_ key: StaticString) throws(Raised) -> PyObj? {
    let name = try PyRef.interned(key)
    return try item(name.object)
  }
  public func append(_ value: borrowing PyRef) throws(Raised) { try append(value.object) }
}
