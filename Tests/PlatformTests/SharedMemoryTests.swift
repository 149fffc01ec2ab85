import Glibc
import Platform
import Synchronization
import Testing

@Suite struct SharedMemoryTests {
  @Test func aFileIsMappedAsFarAsItReaches() throws {
    let file = Descriptor(owning: SharedMemory.makeFile(size: 8192))
    let writer = try #require(SharedMemory(file: file.number, size: 8192))
    let reader = try #require(SharedMemory(file: file.number, offset: 4096, size: 4096, isWritable: false))
    defer {
      writer.unmap()
      reader.unmap()
    }
    writer.words[512].store(7, ordering: .releasing)
    #expect(reader.words[0].load(ordering: .acquiring) == 7)
    #expect(ftruncate(file.number, 0) == -1 && ftruncate(file.number, 1 << 20) == -1)
    for (offset, size) in [(0, 8193), (4096, 4097), (8192, 4096), (-4096, 4096), (0, -1), (.max, .max)] {
      #expect(SharedMemory(file: file.number, offset: offset, size: size) == nil)
    }
  }

  @Test func onlyRegularFilesAreMapped() {
    let zero = Descriptor(owning: open("/dev/zero", O_RDWR))
    #expect(SharedMemory(file: zero.number, size: 4096) == nil && SharedMemory(file: -1, size: 4096) == nil)
  }

  @Test func aPairIsWrittenThroughOneOfItsMappings() throws {
    let pair = try #require(SharedMemory.makePair(size: 4096))
    defer {
      pair.writable.unmap()
      pair.readable.unmap()
    }
    pair.writable.words[1].store(.max, ordering: .releasing)
    #expect(pair.readable.words[1].load(ordering: .acquiring) == .max)
    #expect(mprotect(pair.readable.start, 4096, PROT_READ | PROT_WRITE) == -1)
  }
}
