import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct OutputLimitTests {
  private static let second: Int64 = 1_000_000

  private func makeGroup() throws -> Supervisor.Group {
    let board = try #require(ScoreboardMemory.make(processes: [20])?.reader(0))
    return Supervisor.Group(
      GroupPlan(name: "g", processes: 20, settings: WorkerSettings(), program: [], arguments: [], environment: []), board,
      place: 0)
  }

  private func passed(_ group: Supervisor.Group, _ output: WorkerOutput, lines: Int, bytes: Int, now: Int64) -> Int {
    (0..<lines).count { _ in group.mayLog(bytes: bytes, of: output, now: now) }
  }

  @Test func linesOfAProcessAreLimitedAndCounted() throws {
    let group = try makeGroup()
    let output = WorkerOutput(group: group, pid: 1, descriptor: -1)
    let now = OutputLimitTests.second
    #expect(passed(group, output, lines: 5_000, bytes: 10, now: now) == 2_000)
    // Told a second after the first was kept back, with all that followed it.
    #expect(output.limit.takeMissing(now: now) == nil)
    #expect(output.limit.due == now + OutputLimit.pause)
    let later = now + OutputLimit.pause
    #expect(output.limit.takeMissing(now: later) == DroppedRecords(lines: 3_000, bytes: 30_000))
    #expect(output.limit.due == nil && output.limit.takeMissing(now: later, isLast: true) == nil)
    #expect(passed(group, output, lines: 5_000, bytes: 10, now: later) == 500)
    #expect(output.limit.takeMissing(now: later, isLast: true)?.lines == 4_500)
  }

  @Test func longLinesOfAProcessAreLimitedByTheirBytes() throws {
    let group = try makeGroup()
    let output = WorkerOutput(group: group, pid: 1, descriptor: -1)
    let now = OutputLimitTests.second
    #expect(passed(group, output, lines: 300, bytes: 65_536, now: now) == 128)
    #expect(output.limit.takeMissing(now: now, isLast: true) == DroppedRecords(lines: 172, bytes: 172 * 65_536))
    #expect(passed(group, output, lines: 300, bytes: 65_536, now: now + OutputLimitTests.second) == 16)
  }

  @Test func processesOfAGroupShareALimit() throws {
    let group = try makeGroup()
    let now = OutputLimitTests.second
    let outputs = (1...20).map { WorkerOutput(group: group, pid: Int32($0), descriptor: -1) }
    let lines = outputs.reduce(0) { $0 + passed(group, $1, lines: 2_000, bytes: 10, now: now) }
    #expect(lines == 20_000)
    // Each kept within its own limit.
    #expect(outputs.allSatisfy { $0.limit.due == nil })
    #expect(group.outputLimit.takeMissing(now: now + OutputLimit.pause) == DroppedRecords(lines: 20_000, bytes: 200_000))
    // Another group has its own.
    let other = try makeGroup()
    #expect(passed(other, outputs[0], lines: 100, bytes: 10, now: now + OutputLimitTests.second) == 100)
  }

  @Test func bytesOfAGroupAreLimitedToo() throws {
    let group = try makeGroup()
    let now = OutputLimitTests.second
    let outputs = (1...8).map { WorkerOutput(group: group, pid: Int32($0), descriptor: -1) }
    let lines = outputs.reduce(0) { $0 + passed(group, $1, lines: 100, bytes: 65_536, now: now) }
    #expect(lines == 512)
  }
}
