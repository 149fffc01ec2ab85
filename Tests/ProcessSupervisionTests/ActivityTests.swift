import Glibc
import Platform
import Synchronization
import Testing
import WSGICore

@testable import ProcessSupervision

struct ActivityTests {
  private let stride = 4096

  @Test func whatWorkersWriteIsRead() throws {
    let pages = try #require(WorkerScoreboard(processes: 2, threads: 3))
    defer {
      pages.unmap()
      close(pages.descriptor)
    }
    #expect(pages.activity(ofSlot: 1) == .init())
    let memory = try #require(SharedMemory(file: pages.descriptor, offset: stride, size: stride))
    defer { memory.unmap() }
    func store(_ value: UInt64, _ word: Int, ofThread thread: Int) {
      memory.words[thread * 8 + word].store(value, ordering: .releasing)
    }
    for (thread, ticket, since, completed) in [(0, UInt64(7), UInt64(500), UInt64(10)), (1, 0, 1, 20), (2, 9, 400, 30)] {
      store(ticket, 0, ofThread: thread)
      store(since, 1, ofThread: thread)
      store(completed, 2, ofThread: thread)
    }
    // Behind the last thread: not looked at.
    store(1, 0, ofThread: 3)
    #expect(pages.activity(ofSlot: 1) == .init(busy: 2, completed: 60, oldest: 400))
    #expect(pages.activity(ofSlot: 0) == .init())
    #expect(pages.activity(ofSlot: -1) == .init())
    #expect(pages.activity(ofSlot: .max) == .init())
    for thread in 0..<3 { store(.max, 2, ofThread: thread) }
    #expect(pages.activity(ofSlot: 1).busy == 2)
  }

  /// A reader of a file that had become shorter would die.
  @Test func nobodyCanCutTheFile() throws {
    let pages = try #require(WorkerScoreboard(processes: 1, threads: 1))
    defer {
      pages.unmap()
      close(pages.descriptor)
    }
    #expect(ftruncate(pages.descriptor, 0) == -1)
    #expect(ftruncate(pages.descriptor, 1 << 30) == -1)
    #expect(SharedMemory(file: pages.descriptor, offset: stride * 1000, size: stride) == nil)
    #expect(WorkerScoreboard(processes: 1, threads: 0) == nil)
  }

  @Test func endsAreCountedByKind() throws {
    let memory = try #require(ScoreboardMemory.make(processes: [1, 1]))
    let (other, board) = (try #require(memory.writer(0)), try #require(memory.writer(1)))
    func end(_ cause: EndRecord.Cause, _ flags: EndRecord.Flags = [.wasReady], _ reason: ShutdownReason? = nil) {
      board.record(EndRecord(pid: 5, instance: 1, started: 1, ended: 2, cause: cause, flags: flags, reason: reason))
    }
    for _ in 0..<40 { end(.exited(code: 0), [.wasReady], .maximumRequests) }
    end(.killed(signal: 11))
    end(.killed(signal: 9), [.wasReady, .overdue], .shutdownSignal)
    end(.exited(code: 3))
    end(.exited(code: 3), [])
    end(.unknown)
    let counts = board.endCounts
    #expect(counts.map(\.kind.name) == ["maximum_requests", "crash_signal", "crash_exit", "start_failure", "overdue", "unknown"])
    #expect(counts.map(\.count) == [40, 1, 1, 1, 1, 1])
    #expect(other.endCounts.isEmpty)
    #expect(EndKind.all.count <= GroupScoreboard.endWords)
  }

  @Test func livingProcessesAreListed() throws {
    let board = try #require(ScoreboardMemory.make(processes: [1])?.writer(0))
    board[slot: 2] = .init(pid: 7, state: WorkerState.ready.rawValue, instance: 1, startTicks: 2, started: 3)
    #expect(board.processes == [.init(pid: 7, state: .ready, slot: 2, started: 3)])
  }
}
