import Synchronization

/// Which request a place in the book stands for: its method and, where `WSGIStatusPaths` allows that, its path. The words that
/// hold it lie beside the place; what does not fit is cut. Both are the client's text, which whoever shows it must escape.
public struct RequestLabel: Sendable {
  // SAFETY: C strings that live as long as the request, which is longer than the label is used.
  nonisolated(unsafe) private let method: UnsafePointer<CChar>?
  nonisolated(unsafe) private let path: UnsafePointer<CChar>?

  /// `path`: nil: it is withheld.
  public init(method: UnsafePointer<CChar>?, path: UnsafePointer<CChar>?) {
    self.method = method
    self.path = path
  }

  /// As a reader finds it.
  public struct Copy: Equatable, Sendable {
    public var method: [UInt8]
    /// nil: withheld.
    public var path: [UInt8]?
    /// The path is longer than that.
    public var isCut = false

    public init(method: [UInt8], path: [UInt8]?, isCut: Bool = false) {
      self.method = method
      self.path = path
      self.isCut = isCut
    }
  }

  /// One word says how much there is, then come two for the method and the rest for the path.
  static let words = 32
  private static let methodWords = 2
  private static let firstOfPath = 1 + methodWords
  static let methodLimit = methodWords * 8
  static let pathLimit = (words - firstOfPath) * 8

  /// The lowest byte of the first word is the method's length and more than 0, the next two have that of the path and one.
  private static let cut = 1 << 32

  /// The place is the caller's. The first word comes last: until then, readers find none.
  @inline(__always)
  func write(to words: UnsafeMutablePointer<Atomic<Int>>) {
    var header = 1
    if let method { header &+= RequestLabel.copy(method, to: words + 1, limit: RequestLabel.methodLimit) }
    if let path { header |= RequestLabel.pathHeader(path, words) }
    words.pointee.store(header, ordering: .releasing)
  }

  @inline(never)
  private static func pathHeader(_ path: UnsafePointer<CChar>, _ words: UnsafeMutablePointer<Atomic<Int>>) -> Int {
    let length = copy(path, to: words + firstOfPath, limit: pathLimit)
    return (length &+ 1) << 8 | (length == pathLimit && path[length] != 0 ? cut : 0)
  }

  /// Copies a C string, as far as there is room; its length.
  @inline(__always)
  private static func copy(_ text: UnsafePointer<CChar>, to words: UnsafeMutablePointer<Atomic<Int>>, limit: Int) -> Int {
    var length = 0
    var word = 0
    while length < limit, text[length] != 0 {
      word |= Int(UInt8(bitPattern: text[length])) << ((length & 7) &* 8)
      length &+= 1
      if length & 7 == 0 {
        words[length / 8 &- 1].store(word, ordering: .relaxed)
        word = 0
      }
    }
    if length & 7 != 0 { words[length / 8].store(word, ordering: .relaxed) }
    return length
  }

  /// nil: there is none, or it is another by now.
  static func read(_ words: UnsafeMutablePointer<Atomic<Int>>) -> Copy? {
    let header = words.pointee.load(ordering: .acquiring)
    guard header & 0xFF > 0 else { return nil }
    func text(_ first: Int, _ length: Int, limit: Int) -> [UInt8] {
      (0..<min(max(length, 0), limit)).map { index in
        UInt8(truncatingIfNeeded: words[first + index / 8].load(ordering: .relaxed) >> (index % 8 * 8))
      }
    }
    let path = header >> 8 & 0xFFFF
    let copy = Copy(
      method: text(1, header & 0xFF - 1, limit: methodLimit),
      path: path > 0 ? text(firstOfPath, path - 1, limit: pathLimit) : nil,
      isCut: header & cut != 0)
    atomicMemoryFence(ordering: .acquiring)
    return words.pointee.load(ordering: .relaxed) == header ? copy : nil
  }
}
