import Synchronization

/// How often each application group has asked to be reloaded (`mod_wsgi.reload()`): memory that all processes have in which it
/// may run. Asking is an addition there, so that an application which asks in a loop gives nobody anything to do.
///
/// The first word counts the calls of all application groups; as long as it stays the same, nobody need look further. The second
/// counts those that are for all of them. The rest are pairs, a name's hash and its count; the first call takes the first free
/// pair behind the one that the hash names. What a tenant writes over the words of its process group says that one of its
/// applications is to be reloaded, or that none is.
public struct ReloadBoard: @unchecked Sendable {  // the words are atomic
  private let words: UnsafeMutablePointer<SharedWord>
  private let places: Int
  private static let first = 2

  /// In `size` bytes of zeros that stay for the life of the process; nil: no other has them.
  public init(_ memory: UnsafeMutableRawPointer?, size: Int) {
    words = (memory ?? ReloadBoard.makeMemory(size)).assumingMemoryBound(to: SharedWord.self)
    places = size / 16 - 1
  }

  private static func makeMemory(_ size: Int) -> UnsafeMutableRawPointer {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    return memory
  }

  /// The calls of all application groups.
  @inline(__always)
  public var calls: UInt64 { words.pointee.load(ordering: .acquiring) }

  /// The calls that are for one.
  public func calls(of name: [UInt8]) -> UInt64 { words[1].load(ordering: .acquiring) &+ ownCalls(of: name) }

  private func ownCalls(of name: [UInt8]) -> UInt64 {
    let hash = ReloadBoard.hash(name)
    for place in order(hash) {
      let found = words[place].load(ordering: .acquiring)
      if found == hash { return words[place + 1].load(ordering: .acquiring) }
      if found == 0 { return 0 }
    }
    return 0
  }

  /// Counts a call; false: so many application groups have called that there is no place for another.
  public func call(_ name: [UInt8]) -> Bool {
    let hash = ReloadBoard.hash(name)
    for place in order(hash) {
      let (isTaken, found) = words[place].compareExchange(expected: 0, desired: hash, ordering: .acquiringAndReleasing)
      guard isTaken || found == hash else { continue }
      words[place + 1].wrappingAdd(1, ordering: .acquiringAndReleasing)
      words.pointee.wrappingAdd(1, ordering: .acquiringAndReleasing)
      return true
    }
    return false
  }

  /// Counts a call for all application groups.
  public func callAll() {
    words[1].wrappingAdd(1, ordering: .acquiringAndReleasing)
    words.pointee.wrappingAdd(1, ordering: .acquiringAndReleasing)
  }

  private func order(_ hash: UInt64) -> some Sequence<Int> {
    (0..<places).lazy.map { ReloadBoard.first + (Int(hash % UInt64(places)) + $0) % places * 2 }
  }

  /// FNV-1a; never 0.
  private static func hash(_ name: [UInt8]) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return max(hash, 1)
  }
}
