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
  private var file = Descriptor()
  private var size = 0
  private var ringStart = 0
  private var inFile = 0

  deinit { memory?.deallocate() }

  /// Gives back what a request has used.
  mutating func reset() {
    memory?.deallocate()
    memory = nil
    (start, end, size, ringStart, inFile) = (0, 0, 0, 0, 0)
    file.close()
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

  /// Keeps bytes, which together with those that are there must be no more than `limit`. 0, or an errno value: then none is kept.
  mutating func append(_ bytes: UnsafeRawBufferPointer, limit: Int, makeFile: () -> Int32) -> Int32 {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return 0 }
    let memory = room()
    if inFile == 0, start > 0 {
      memory.copyMemory(from: memory + start, byteCount: end - start)
      (start, end) = (0, end - start)
    }
    let kept = inFile == 0 ? min(bytes.count, ResponseSpool.inMemory - end) : 0
    if kept < bytes.count {
      let failure = appendToFile(UnsafeRawBufferPointer(rebasing: bytes[kept...]), limit, makeFile)
      if failure != 0 { return failure }
    }
    (memory + end).copyMemory(from: source, byteCount: kept)
    end += kept
    return 0
  }

  private mutating func appendToFile(_ bytes: UnsafeRawBufferPointer, _ limit: Int, _ makeFile: () -> Int32) -> Int32 {
    if file.number < 0 {
      let made = makeFile()
      guard made >= 0 else { return -made }
      file = Descriptor(owning: made)
      size = limit
    }
    guard inFile + bytes.count <= size else { return ENOSPC }
    var left = bytes
    var place = (ringStart + inFile) % size
    while let source = left.baseAddress, !left.isEmpty {
      let count = systemCall { pwrite(file.number, source, min(left.count, size - place), place) }
      guard count > 0 else { return count == 0 ? ENOSPC : Int32(clamping: -count) }
      place = (place + count) % size
      left = UnsafeRawBufferPointer(rebasing: left.dropFirst(count))
    }
    inFile += bytes.count
    return 0
  }

  /// The first bytes, at most `most`, valid until the next call; nil: the file cannot be read.
  mutating func first(_ most: Int) -> UnsafeRawBufferPointer? {
    let memory = room()
    if start == end, inFile > 0 {
      let count = systemCall { pread(file.number, memory, min(inFile, ResponseSpool.inMemory, size - ringStart), ringStart) }
      guard count > 0 else { return nil }
      (start, end) = (0, count)
      ringStart = (ringStart + count) % size
      inFile -= count
    }
    return UnsafeRawBufferPointer(start: memory + start, count: min(most, end - start))
  }

  /// Those of the first bytes that have been taken.
  mutating func drop(_ count: Int) { start += min(count, end - start) }
}
