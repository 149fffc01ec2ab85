import Glibc
import Synchronization

/// A word of memory that other processes have too. Zeroed pages are valid: an atomic is its integer and nothing else.
public typealias SharedWord = Atomic<UInt64>

/// A mapping that this process shares with others. Copies are of the same mapping, and nothing may use it after `unmap`.
public struct SharedMemory: @unchecked Sendable {
  public let start: UnsafeMutableRawPointer
  public let size: Int

  /// As many 64-bit words as have room.
  @inlinable public var words: UnsafeMutablePointer<SharedWord> { start.assumingMemoryBound(to: SharedWord.self) }

  /// Zero bytes for this process and those that it forks. nil: errno says why not, as for all that follow.
  public init?(size: Int) { self.init(size, at: 0, of: -1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS) }

  /// Part of a file; nil too where it is not a regular file that reaches so far, which would kill those that look there.
  public init?(file: Int32, offset: Int = 0, size: Int, isWritable: Bool = true) {
    var about = stat()
    guard fstat(file, &about) == 0, about.st_mode & S_IFMT == S_IFREG, offset >= 0, size >= 0, about.st_size >= size,
      offset <= about.st_size &- size
    else { return nil }
    self.init(size, at: offset, of: file, isWritable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED)
  }

  private init?(_ size: Int, at offset: Int, of file: Int32, _ protection: Int32, _ flags: Int32) {
    guard let start = mmap(nil, size, protection, flags, file, offset), start != MAP_FAILED else { return nil }
    self.start = start
    self.size = size
  }

  public func unmap() { _ = munmap(start, size) }

  // MARK: memory files

  /// A memory file of zero bytes for several processes to write, whose size nobody can change. A negative number: there is none.
  public static func makeFile(size: Int) -> Int32 {
    let file = memoryFile(size)
    if file >= 0, seal(file) { return file }
    if file >= 0 { close(file) }
    return -1
  }

  /// The same zero bytes, mapped twice: for those that write, and for those that must not. A process that has not got the first
  /// mapping cannot make one.
  public static func makePair(size: Int) -> (writable: SharedMemory, readable: SharedMemory)? {
    let file = Descriptor(owning: memoryFile(size))
    guard file.number >= 0, let writable = SharedMemory(file: file.number, size: size) else { return nil }
    // Once sealed, a new mapping of the file can only be read, and mprotect cannot change that.
    guard seal(file.number, F_SEAL_FUTURE_WRITE), let readable = SharedMemory(file: file.number, size: size, isWritable: false)
    else {
      writable.unmap()
      return nil
    }
    return (writable, readable)
  }

  private static func memoryFile(_ size: Int) -> Int32 {
    let file = memfd_create("wsgi-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING)
    guard file >= 0, ftruncate(file, size) != 0 else { return file }
    close(file)
    return -1
  }

  private static func seal(_ file: Int32, _ more: Int32 = 0) -> Bool {
    fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | more) == 0
  }
}
