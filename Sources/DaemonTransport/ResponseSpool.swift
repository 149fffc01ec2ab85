import Glibc
import Platform

/// Bytes of a response that its client has not taken yet: first in, first out, a few in memory and the rest in a file.
struct ResponseSpool: ~Copyable {
  /// How much of it lies in memory.
  static let inMemory = 64 << 10

  private var memory: UnsafeMutableRawPointer?
  private var start = 0
  private var end = 0
  /// A ring of `size` bytes; what lies in it comes behind what lies in memory.
  private var file: SpoolFile?
  private var size = 0
  private var ringStart = 0
  private var inFile = 0

  deinit { memory?.deallocate() }

  /// Gives back what a request has used.
  mutating func reset() {
    memory?.deallocate()
    memory = nil
    (start, end, size, ringStart, inFile) = (0, 0, 0, 0, 0)
    file = nil
  }

  /// Something has been in it since it was made or reset.
  var isUsed: Bool { memory != nil }

  var count: Int { end - start + inFile }
  var isEmpty: Bool { count == 0 }

  private mutating func room() -> UnsafeMutableRawPointer {
    if let memory { return memory }
    let made = UnsafeMutableRawPointer.allocate(byteCount: ResponseSpool.inMemory, alignment: 16)
    memory = made
    return made
  }

  /// Keeps bytes, which together with those that are there must be no more than `limit`; all of them, or none, and it throws.
  mutating func append(
    _ bytes: UnsafeRawBufferPointer, limit: Int, makeFile: () throws(SpoolFailure) -> SpoolFile
  ) throws(SpoolFailure) {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
    let memory = room()
    if inFile == 0, start > 0 {
      memory.copyMemory(from: memory + start, byteCount: end - start)
      (start, end) = (0, end - start)
    }
    let kept = inFile == 0 ? min(bytes.count, ResponseSpool.inMemory - end) : 0
    if kept < bytes.count {
      try appendToFile(UnsafeRawBufferPointer(rebasing: bytes[kept...]), limit, makeFile)
    }
    (memory + end).copyMemory(from: source, byteCount: kept)
    end += kept
  }

  private mutating func appendToFile(
    _ bytes: UnsafeRawBufferPointer, _ limit: Int, _ makeFile: () throws(SpoolFailure) -> SpoolFile
  ) throws(SpoolFailure) {
    if file == nil {
      file = try makeFile()
      size = limit
    }
    guard inFile + bytes.count <= size else { throw .system(errno: ENOSPC) }
    var left = bytes
    var place = (ringStart + inFile) % size
    while !left.isEmpty {
      let part = UnsafeRawBufferPointer(rebasing: left.prefix(size - place))
      guard let count = try file?.write(part, at: place) else { return }
      place = (place + count) % size
      left = UnsafeRawBufferPointer(rebasing: left.dropFirst(count))
    }
    inFile += bytes.count
  }

  /// The first bytes, at most `most`, valid until the next call.
  mutating func first(_ most: Int) throws(SpoolFailure) -> UnsafeRawBufferPointer {
    let memory = room()
    if start == end, inFile > 0 {
      let wanted = min(inFile, ResponseSpool.inMemory, size - ringStart)
      let count = try file?.read(into: memory, wanted, at: ringStart) ?? 0
      (start, end) = (0, count)
      ringStart = (ringStart + count) % size
      inFile -= count
    }
    return UnsafeRawBufferPointer(start: memory + start, count: min(most, end - start))
  }

  /// Those of the first bytes that have been taken.
  mutating func drop(_ count: Int) { start += min(count, end - start) }
}
