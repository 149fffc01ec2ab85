import Glibc
import Platform
import Synchronization
import Testing

@testable import PythonRuntime

@Suite struct GILLineTests {
  private static let patience = 60_000

  /// Requests that stand in line on threads of their own, and note when it is their turn.
  private final class Crowd: Sendable {
    let line = GILLine()
    private let turns = Mutex<[Int]>([])
    private let left = Mutex<Set<Int>>([])

    func start(_ number: Int) {
      let failure = DetachedThread.start(named: "crowd") { [self] in
        let isFirst = line.enter(GILLine.Place())
        turns.withLock { $0.append(number) }
        while !left.withLock({ $0.contains(number) }) { usleep(100) }
        if isFirst { line.leave() }
      }
      #expect(failure == 0)
    }

    /// The request gets the GIL.
    func proceed(_ number: Int) { left.withLock { _ = $0.insert(number) } }

    /// Whose turn it has been, when it has been that of `count`.
    func turns(_ count: Int) -> [Int] {
      for _ in 0..<GILLineTests.patience where turns.withLock({ $0.count }) < count { usleep(1000) }
      return turns.withLock { $0 }
    }

    func stand(_ count: Int) -> Bool {
      for _ in 0..<GILLineTests.patience where line.length != count { usleep(1000) }
      return line.length == count
    }
  }

  @Test func theFirstInLineAloneAsksForTheGIL() {
    let crowd = Crowd()
    for number in 0..<5 {
      crowd.start(number)
      #expect(crowd.stand(number + 1))
    }
    for number in 0..<5 {
      #expect(crowd.turns(number + 1) == Array(0...number))
      crowd.proceed(number)
    }
    #expect(crowd.stand(0))
  }
}
