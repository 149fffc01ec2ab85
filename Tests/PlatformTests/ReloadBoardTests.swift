import Testing

@testable import Platform

@Suite struct ReloadBoardTests {
  private static func name(_ number: Int) -> [UInt8] { Array("group \(number)".utf8) }

  @Test func callsAreCountedByName() {
    let board = ReloadBoard(nil, size: 4096)
    #expect(board.calls == 0 && board.calls(of: []) == 0 && board.calls(of: Self.name(1)) == 0)
    #expect(board.call([]) && board.call(Self.name(1)) && board.call(Self.name(1)))
    #expect(board.calls == 3 && board.calls(of: []) == 1 && board.calls(of: Self.name(1)) == 2)
    #expect(board.calls(of: Self.name(2)) == 0)
  }

  @Test func thereIsRoomForSoManyNames() {
    let board = ReloadBoard(nil, size: 4096)
    let taken = (0..<300).filter { board.call(Self.name($0)) }
    #expect(taken == Array(0..<255))
    #expect(taken.allSatisfy { board.calls(of: Self.name($0)) == 1 })
    #expect(board.calls == 255 && board.calls(of: Self.name(299)) == 0)
    #expect(board.call(Self.name(0)) && board.calls(of: Self.name(0)) == 2)
  }

  @Test func processesShareTheMemory() {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 16)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
    let (one, other) = (ReloadBoard(memory, size: 4096), ReloadBoard(memory, size: 4096))
    #expect(one.call(Self.name(1)) && other.calls(of: Self.name(1)) == 1)
  }

  @Test func whateverATenantWritesThereIsRead() {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 16)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4096)
    let board = ReloadBoard(memory, size: 4096)
    #expect(!board.call(Self.name(1)) && board.calls(of: Self.name(1)) == .max && board.calls == .max)
  }

  @Test func aCallForAllIsOneForEach() {
    let board = ReloadBoard(nil, size: 4096)
    _ = board.call(Self.name(1))
    let before = board.calls
    board.callAll()
    #expect(board.calls != before)
    #expect(board.calls(of: Self.name(1)) == 2)
    #expect(board.calls(of: Self.name(2)) == 1)
  }
}
