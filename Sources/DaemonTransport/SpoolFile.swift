import Glibc
import Platform
import RequestCounting

/// Why a spool took no more, or gave nothing back.
public enum SpoolFailure: Error, Equatable, Sendable {
  /// The file could not be made, or written to.
  case system(errno: Int32)
  /// The file cannot be read.
  case unreadable(errno: Int32)
  /// A limit of the process group or of the server is reached.
  case limit(SpoolSpace.Bound)
}

/// A temporary file for a request's body or response, with the room that it takes.
public struct SpoolFile: ~Copyable {
  private let file: Descriptor
  private var space: SpoolSpace

  /// `made`: a file's descriptor, which this owns from now on, or a negated errno value.
  public init(_ made: Int32, _ space: consuming SpoolSpace) throws(SpoolFailure) {
    guard made >= 0 else { throw .system(errno: -made) }
    file = Descriptor(owning: made)
    self.space = space
  }

  /// Writes as much as the file takes at once, and says how much that is.
  public mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SpoolFailure) -> Int {
    guard let start = bytes.baseAddress, !bytes.isEmpty else { return 0 }
    if let bound = space.grow(to: offset + bytes.count) { throw .limit(bound) }
    let count = systemCall { pwrite(file.number, start, bytes.count, offset) }
    guard count > 0 else { throw .system(errno: count == 0 ? ENOSPC : Int32(clamping: -count)) }
    return count
  }

  /// Reads what is there, up to `count` bytes and at least one.
  public func read(into start: UnsafeMutableRawPointer, _ count: Int, at offset: Int) throws(SpoolFailure) -> Int {
    let read = systemCall { pread(file.number, start, count, offset) }
    guard read > 0 else { throw .unreadable(errno: read == 0 ? EIO : Int32(clamping: -read)) }
    return read
  }
}
