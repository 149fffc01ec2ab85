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
  /// The one that the last request had.
  private var latest: EnvironLayout?
  private var clock: UInt64 = 0

  public init() {}

  /// Brings a layout up to the request's pairs. Nil: they are not well-formed.
  public func layout(_ pairs: EnvironPairs, _ gil: borrowing GILToken) throws(Raised) -> EnvironLayout? {
    clock &+= 1
    if let latest, try latest.update(pairs) {
      latest.lastUse = clock
      return latest
    }
    return try otherLayout(pairs, gil)
  }

  @inline(never)
  private func otherLayout(_ pairs: EnvironPairs, _ gil: borrowing GILToken) throws(Raised) -> EnvironLayout? {
    guard let hash = pairs.keyHash() else { return nil }
    guard pairs.count <= EnvironBuilder.pairLimit else {
      let layout = try EnvironLayout(hash: 0)
      try layout.rebuild(pairs, gil)
      layout.release = true
      return layout
    }
    let found = layouts.first { $0.hash == hash }
    let layout: EnvironLayout
    if let found {
      layout = found
    } else if layouts.count < EnvironBuilder.layoutLimit {
      layout = try EnvironLayout(hash: hash)
      layouts.append(layout)
    } else {
      layout = layouts.min { $0.lastUse < $1.lastUse } ?? layouts[0]
    }
    layout.hash = hash
    layout.lastUse = clock
    latest = layout
    let isCurrent = found == nil ? false : try layout.update(pairs)
    if !isCurrent { try layout.rebuild(pairs, gil) }
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
  public func clear(_ gil: borrowing GILToken) {
    for layout in layouts { layout.drop(gil) }
    layouts = []
    latest = nil
  }
}

/// The items of one sequence of keys, as the last request had them.
public final class EnvironLayout {
  private struct Slot {
    /// The pair in its encoding: lengths, key, value.
    var encoded: UnsafeMutableRawPointer
    var capacity: Int
    /// How long the encoding is; `unknown` where the value was too long to keep, which matches nothing.
    var length: Int
    var keyCount: Int
    var key: UnsafeMutablePointer<PyObject>
    /// A later pair has the same key.
    var shadowed: Bool
    /// A path: decoded with the file system encoding.
    var isPath: Bool

    static let unknown = Int.max

    func hasKey(_ bytes: UnsafeRawBufferPointer) -> Bool {
      guard bytes.count == keyCount else { return false }
      guard let base = bytes.baseAddress else { return true }
      return memcmp(base, encoded + EnvironPairs.header, keyCount) == 0
    }

    /// Keeps the pair's bytes, or notes that they are too long.
    mutating func keep(_ pair: EnvironPairs.Pair) {
      let valueCount = pair.value?.count ?? 0
      guard valueCount <= EnvironBuilder.valueLimit else {
        length = Slot.unknown
        return
      }
      length = EnvironPairs.header + keyCount + valueCount
      if length > capacity {
        encoded.deallocate()
        capacity = (length + 63) & ~63
        encoded = .allocate(byteCount: capacity, alignment: 8)
      }
      EnvironPairs.encode(pair, to: encoded)
    }
  }

  fileprivate var hash: UInt64
  fileprivate var lastUse: UInt64 = 0
  fileprivate var release = false
  private var slots: UnsafeMutablePointer<Slot>
  private var count = 0
  private var capacity = 64
  private var template: KeptRef
  /// True until `finish`: constant items must be added to the template.
  public private(set) var isNew = true
  private var oversize: [Int] = []

  fileprivate init(hash: UInt64) throws(Raised) {
    self.hash = hash
    slots = .allocate(capacity: capacity)
    template = KeptRef(try PyRef.dict())
  }

  deinit {
    for index in 0..<count { slots[index].encoded.deallocate() }
    slots.deallocate()
  }

  /// The template dict, to set further items on before `finish`.
  public var items: PyObj { template.orNone }

  /// Sets what differs; false where the keys are not these. Items set by then do no harm: the slots know them.
  fileprivate func update(_ pairs: EnvironPairs) throws(Raised) -> Bool {
    guard pairs.count == count else { return false }
    var cursor = pairs.cursor
    for index in 0..<count {
      if cursor.skip(slots[index].encoded, slots[index].length) { continue }
      guard let pair = cursor.next(), slots[index].hasKey(pair.key) else { return false }
      if !slots[index].shadowed { try set(index, pair) }
    }
    return true
  }

  private func set(_ index: Int, _ pair: EnvironPairs.Pair) throws(Raised) {
    slots[index].length = Slot.unknown
    let dict = items
    guard let value = pair.value else {
      try dict.setItem(PyObj(slots[index].key), .none)
      slots[index].keep(pair)
      return
    }
    let object = slots[index].isPath ? try PyRef.fileSystem(value) : try PyRef.latin1(value)
    try dict.setItem(PyObj(slots[index].key), object.object)
    slots[index].keep(pair)
    if slots[index].length == Slot.unknown { oversize.append(index) }
  }

  /// Starts over with these pairs.
  fileprivate func rebuild(_ pairs: EnvironPairs, _ gil: borrowing GILToken) throws(Raised) {
    drop(gil)
    template = KeptRef(try PyRef.dict())
    isNew = true
    if pairs.count > capacity {
      slots.deallocate()
      capacity = pairs.count
      slots = .allocate(capacity: capacity)
    }
    var cursor = pairs.cursor
    while count < pairs.count, let pair = cursor.next() {
      var key: UnsafeMutablePointer<PyObject>? = try PyRef.latin1(pair.key).release()
      PyUnicode_InternInPlace(&key)
      guard let key else { throw Raised() }
      if try items.item(PyObj(key)) != nil {
        for earlier in 0..<count where slots[earlier].key == key { slots[earlier].shadowed = true }
      }
      let size = (EnvironPairs.header + pair.key.count + (pair.value?.count ?? 0) + 63) & ~63
      (slots + count).initialize(
        to: Slot(
          encoded: .allocate(byteCount: size, alignment: 8), capacity: size, length: Slot.unknown, keyCount: pair.key.count,
          key: key, shadowed: false, isPath: EnvironBuilder.isPath(pair.key)))
      EnvironPairs.encode((pair.key, nil), to: slots[count].encoded)
      count += 1
      try set(count - 1, pair)
    }
  }

  /// A dict for one request, with the template's items.
  public func finish(_ gil: borrowing GILToken) throws(Raised) -> PyRef {
    let environ = try items.copyDict()
    isNew = false
    if !oversize.isEmpty { try forgetOversize() }
    if release { drop(gil) }
    return environ
  }

  @inline(never)
  private func forgetOversize() throws(Raised) {
    for index in oversize { try items.setItem(PyObj(slots[index].key), .none) }
    oversize.removeAll(keepingCapacity: true)
  }

  fileprivate func drop(_ gil: borrowing GILToken) {
    for index in 0..<count {
      slots[index].encoded.deallocate()
      wsgi_py_decref(slots[index].key)
    }
    count = 0
    oversize.removeAll(keepingCapacity: true)
    template.drop(gil)
  }
}
