import CPython

/// A bytes object that is being filled; no other thread sees it until `finish`, so that it may be written to without the GIL.
public struct BytesBlock: ~Copyable {
  private var object: UnsafeMutablePointer<PyObject>?
  public private(set) var capacity: Int
  /// How much of it is filled.
  public var count = 0

  /// Makes an object of `size` bytes; MemoryError when there is no room. GIL.
  public init(size: Int) throws(Raised) {
    guard let made = PyBytes_FromStringAndSize(nil, size) else { throw Raised() }
    object = made
    capacity = size
  }

  deinit { if let object { wsgi_py_decref(object) } }

  public var room: Int { capacity - count }

  /// The part that is not filled yet.
  public var free: UnsafeMutableRawBufferPointer {
    guard let object else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    return UnsafeMutableRawBufferPointer(start: wsgi_py_bytes_data(object) + count, count: room)
  }

  /// Appends bytes, as far as there is room.
  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    let part = UnsafeRawBufferPointer(rebasing: bytes.prefix(room))
    guard let base = part.baseAddress, let target = free.baseAddress else { return }
    target.copyMemory(from: base, byteCount: part.count)
    count += part.count
  }

  /// Makes room for `size` bytes in all. GIL.
  public mutating func grow(to size: Int) throws(Raised) {
    guard _PyBytes_Resize(&object, size) == 0 else { throw Raised() }  // frees it and clears the pointer on failure
    capacity = size
  }

  /// The object, cut to what was filled. GIL.
  public consuming func finish() throws(Raised) -> PyRef {
    if count != capacity { try grow(to: count) }
    guard let made = object else { throw Raised(.memoryError, "no memory for request data") }
    object = nil
    return PyRef(owning: made)
  }
}
