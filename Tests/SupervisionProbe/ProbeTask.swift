#if DEBUG
// Like the tests, it sees what a room keeps to itself, which it can when that is built for debugging.
import CPosix
import Glibc
import Platform

@testable import ProcessSupervision

/// What a test cannot do itself, as its process has other threads: one of them may hold a lock, of Swift's runtime or of the C
/// library, when the test forks, and a child that goes on in Swift would wait for that lock for ever.
enum ProbeTask: String {
  case lookup, lane, unpack

  func run() -> Never {
    switch self {
    case .lookup: Self.lookUp()
    case .lane: Self.takeLane()
    case .unpack: Self.unpack()
    }
    _exit(0)
  }

  /// Prints who user 0 is.
  private static func lookUp() {
    guard let lookup = UserLookup.start(0, now: 0) else { _exit(1) }
    var outcome = UserLookup.Outcome.pending
    while outcome == .pending {
      _ = waitUntilReady(lookup.descriptor, for: readable, milliseconds: -1)
      outcome = lookup.read()
    }
    lookup.end()
    guard case .found(let entry) = outcome else { _exit(2) }
    say("\(String(decoding: entry.name, as: UTF8.self)) \(entry.uid) \(entry.gid)")
  }

  /// A child takes the only lane and dies with it, answered by nobody. Prints what this process gets before and after.
  private static func takeLane() {
    guard let activation = GroupActivation.make(children: 1) else { _exit(1) }
    let asker = activation.asker(isAlone: true)
    func ask(milliseconds: Int64) {
      switch asker.ask(2, milliseconds: milliseconds) {
      case .success: say("found")
      case .failure(let failure): say("\(failure)")
      }
    }
    var pace = AskPace(lanes: activation.laneCount)
    let child = fork { _ = activation.asker(isAlone: true).ask(1, milliseconds: 60_000) }
    while activation.takeAsks(&pace, now: Clock.monotonicMicroseconds()).isEmpty { usleep(1_000) }
    ask(milliseconds: 50)
    kill(child, SIGKILL)
    waitpid(child, nil, 0)
    let supervisor = fork {
      let files = GroupFiles(readEnd: 0, writeEnd: 0, owners: 0, activity: 0)
      while true {
        for ask in activation.takeAsks(&pace, now: Clock.monotonicMicroseconds()) {
          activation.answer(ask, .init(status: 0, files: files))
        }
        usleep(1_000)
      }
    }
    ask(milliseconds: 60_000)
    kill(supervisor, SIGKILL)
  }

  /// A child that ends with this process at the latest.
  private static func fork(_ body: () -> Void) -> Int32 {
    let pid = wsgi_posix_fork()
    guard pid >= 0 else { _exit(3) }
    if pid == 0 {
      _ = wsgi_posix_end_with_parent()
      body()
      _exit(0)
    }
    return pid
  }

  /// Takes an order from standard input, and writes into each descriptor that comes with it which one it is.
  private static func unpack() {
    guard ForkOrder.unpack(STDIN_FILENO) else { _exit(1) }
    for place in STDERR_FILENO...WSGI_POSIX_LAST_DESCRIPTOR {
      var number = UInt8(truncatingIfNeeded: place)
      guard write(place, &number, 1) == 1 else { _exit(2) }
    }
  }
}
#endif
