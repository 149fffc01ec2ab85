import CPython

/// Makes environ dicts for one thread in one interpreter, from pairs of bytes.
///
/// Requests resemble each other: the same keys in the same order, most values unchanged. So a *layout* is kept for each
/// sequence of keys seen lately: a template dict that holds the last request's items, and the bytes they came from. A request
/// changes the items that differ and takes a copy of the whole, which CPython does in one piece, without hashing.
///
/// All of it under the GIL, on the thread that owns it.
public final class EnvironBuilder {
  /// Key sequences kept; the one unused longest gives way.
  private static let layoutLimit = 8
  /// Longer values are decoded each time and not kept.
  fileprivate static let valueLimit = 1024
  /// Requests with more pairs than this are built without a layout.
  private static let pairLimit = 192

  private var layouts: [EnvironLayout] = []
  private var clock: UInt64 = 0

  public init() {}

  /// One pair, borrowed; a nil value is None.
  public typealias Pair = (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?)

  /// Brings a layout up to the request's pairs. `read` is called once for each pair, in order, and again from the start.
  public func layout(count: Int, _ read: (Int) -> Pair) throws(Raised) -> EnvironLayout {
    guard count <= EnvironBuilder.pairLimit else {
      let layout = try EnvironLayout(hash: 0)
      try layout.rebuild(count: count, read)
      layout.release = true
      return layout
    }
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for index in 0..<count {
      let key = read(index).key
      hash = (hash ^ UInt64(truncatingIfNeeded: key.count)) &* 0x100_0000_01b3
      var offset = 0
      while key.count - offset >= 8 {
        hash = (hash ^ key.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
        offset += 8
      }
      while offset < key.count {
        hash = (hash ^ UInt64(key[offset])) &* 0x100_0000_01b3
        offset += 1
      }
    }
    clock &+= 1
    for layout in layouts where layout.hash == hash && layout.count == count {
      layout.lastUse = clock
      if try layout.update(read) { return layout }
      try layout.rebuild(count: count, read)
      return layout
    }
    let layout: EnvironLayout
    if layouts.count < EnvironBuilder.layoutLimit {
      layout = try EnvironLayout(hash: hash)
      layouts.append(layout)
    } else {
      layout = layouts.min { $0.lastUse < $1.lastUse } ?? layouts[0]
      layout.hash = hash
    }
    layout.lastUse = clock
    try layout.rebuild(count: count, read)
    return layout
  }

  /// Whether a key's value is a path, and so decoded with the file system encoding; other values are latin-1.
  public static func isPath(_ key: UnsafeRawBufferPointer) -> Bool {
    switch key.count {
    case 13: key.elementsEqual("DOCUMENT_ROOT".utf8)
    case 15: key.elementsEqual("SCRIPT_FILENAME".utf8)
    default: false
    }
  }

  /// Gives back everything that is kept.
  public func clear() {
    for layout in layouts { layout.drop() }
    layouts = []
  }
}

/// The items of one sequence of keys, as the last request had them.
public final class EnvironLayout {
  private struct Slot {
    var keyBytes: UnsafeMutableRawBufferPointer
    var key: UnsafeMutablePointer<PyObject>
    /// The value's bytes; capacity `valueLimit` once allocated.
    var value: UnsafeMutableRawPointer?
    /// -1: unknown (None, or too long to keep).
    var valueCount: Int
    /// A later pair has the same key.
    var shadowed: Bool
    /// A path: decoded with the file system encoding.
    var isPath: Bool
  }

  fileprivate var hash: UInt64
  fileprivate var lastUse: UInt64 = 0
  fileprivate var release = false
  private var slots: [Slot] = []
  private var template: KeptRef
  /// True until `finish`: constant items must be added to the template.
  public private(set) var isNew = true
  private var oversize: [Int] = []

  fileprivate init(hash: UInt64) throws(Raised) {
    self.hash = hash
    template = KeptRef(try PyRef.dict())
  }

  fileprivate var count: Int { slots.count }

  /// The template dict, to set further items on before `finish`.
  public var items: PyObj { template.orNone }

  private static func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
    guard a.count == count else { return false }
    guard let base = a.baseAddress, count > 0 else { return count == 0 }
    return memcmp(base, b, count) == 0
  }

  /// Sets what differs; false where the keys are not these after all (a collision).
  fileprivate func update(_ read: (Int) -> EnvironBuilder.Pair) throws(Raised) -> Bool {
    let dict = template.orNone
    for index in 0..<slots.count {
      let pair = read(index)
      let keyBytes = slots[index].keyBytes
      guard let base = keyBytes.baseAddress, EnvironLayout.equal(pair.key, UnsafeRawPointer(base), keyBytes.count - 1) else {
        return false
      }
      if slots[index].shadowed { continue }
      if let value = pair.value, let kept = slots[index].value, slots[index].valueCount == value.count,
        EnvironLayout.equal(value, kept, value.count)
      {
        continue
      }
      try set(index, pair.value, in: dict)
    }
    return true
  }

  private func set(_ index: Int, _ value: UnsafeRawBufferPointer?, in dict: PyObj) throws(Raised) {
    slots[index].valueCount = -1
    guard let value else {
      try dict.setItem(PyObj(slots[index].key), .none)
      return
    }
    let object = slots[index].isPath ? try PyRef.fileSystem(value) : try PyRef.latin1(value)
    try dict.setItem(PyObj(slots[index].key), object.object)
    guard value.count <= EnvironBuilder.valueLimit else {
      oversize.append(index)
      return
    }
    let kept: UnsafeMutableRawPointer
    if let existing = slots[index].value {
      kept = existing
    } else {
      kept = UnsafeMutableRawPointer.allocate(byteCount: EnvironBuilder.valueLimit, alignment: 8)
      slots[index].value = kept
    }
    if let base = value.baseAddress { kept.copyMemory(from: base, byteCount: value.count) }
    slots[index].valueCount = value.count
  }

  /// Starts over with these pairs.
  fileprivate func rebuild(count: Int, _ read: (Int) -> EnvironBuilder.Pair) throws(Raised) {
    drop()
    template = KeptRef(try PyRef.dict())
    isNew = true
    slots.reserveCapacity(count)
    let dict = template.orNone
    for index in 0..<count {
      let pair = read(index)
      let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: pair.key.count + 1, alignment: 1)
      bytes.copyMemory(from: pair.key)
      bytes[pair.key.count] = 0
      let isPath = EnvironBuilder.isPath(pair.key)
      let made: PyRef
      do throws(Raised) { made = try PyRef.latin1(pair.key) } catch {
        bytes.deallocate()
        throw error
      }
      var key: UnsafeMutablePointer<PyObject>? = made.release()
      PyUnicode_InternInPlace(&key)
      guard let key else {
        bytes.deallocate()
        throw Raised()
      }
      if try dict.item(PyObj(key)) != nil {
        for earlier in slots.indices where slots[earlier].key == key { slots[earlier].shadowed = true }
      }
      slots.append(Slot(keyBytes: bytes, key: key, value: nil, valueCount: -1, shadowed: false, isPath: isPath))
      try set(index, pair.value, in: dict)
    }
  }

  /// A dict for one request, with the template's items.
  public func finish() throws(Raised) -> PyRef {
    let environ = try items.copyDict()
    isNew = false
    for index in oversize { try items.setItem(PyObj(slots[index].key), .none) }
    oversize.removeAll(keepingCapacity: true)
    if release { drop() }
    return environ
  }

  fileprivate func drop() {
    for slot in slots {
      slot.keyBytes.deallocate()
      slot.value?.deallocate()
      wsgi_py_decref(slot.key)
    }
    slots.removeAll(keepingCapacity: true)
    oversize.removeAll(keepingCapacity: true)
    template.drop()
  }
}
