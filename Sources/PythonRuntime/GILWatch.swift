import Glibc
import Platform
import Synchronization

/// Sees to it that interpreters which share the GIL all come by it while requests run.
///
/// Before Python 3.13 a thread that waits for the GIL has only threads of its own interpreter give it up after the switch
/// interval: one that computes keeps the other interpreters from it until it waits for something. So each interpreter has a
/// thread that asks in their place (`GILRequester`), and a thread of the process has these ask while somebody keeps the GIL.
final class GILWatch: @unchecked Sendable {  // `isWoken` is guarded by `condition`
  /// Whether this Python needs one.
  static var isNeeded: Bool { Python.versionHex < 0x030D_0000 }

  /// It is to be told of the next use of an interpreter.
  private let isAsleep = Atomic<Bool>(false)
  /// Microseconds between two looks at the GIL: Python's switch interval, which is this one at first.
  private let interval = Atomic<UInt32>(5_000)
  private let condition = Condition()
  private var isWoken = false

  /// How long it looks away, in nanoseconds, while requests run, none begins, and the GIL was free.
  private static let rest: UInt64 = 50_000_000

  /// A use of an interpreter has begun. Any thread.
  @inline(__always)
  func noteUse() { if isAsleep.load(ordering: .sequentiallyConsistent) { wake() } }

  /// There is something to look at. Any thread.
  @inline(never)
  func wake() {
    isAsleep.store(false, ordering: .relaxed)
    condition.lock()
    isWoken = true
    condition.announce()
    condition.unlock()
  }

  /// The switch interval of the GIL that is shared.
  func setInterval(_ seconds: Double) { interval.store(UInt32(min(max(seconds, 0.0001), 1) * 1_000_000), ordering: .relaxed) }

  /// Begins, on a thread of its own. False: the system gives it none.
  func start(_ python: Python) -> Bool {
    DetachedThread.start(named: "wsgi:gil-watch", stackSize: 131_072) { [self] in
      while true {
        // Before it looks for uses: whoever begins one does it the other way round.
        isAsleep.store(true, ordering: .sequentiallyConsistent)
        let used = python.requestersInUse
        if used == nil { isAsleep.store(false, ordering: .relaxed) }
        if let used, !used.isEmpty {
          if !wasKept(python, used) { awaitUse(until: Clock.monotonicNanoseconds() &+ GILWatch.rest) }
        } else {
          awaitUse(until: nil)
        }
        usleep(interval.load(ordering: .relaxed))
      }
    } == 0
  }

  private func awaitUse(until deadline: UInt64?) {
    condition.lock()
    while !isWoken {
      if let deadline {
        if !condition.wait(until: deadline) { break }
      } else {
        condition.wait()
      }
    }
    isWoken = false
    condition.unlock()
  }

  /// Looks whether the GIL can be had, and has interpreters ask for it if somebody keeps it: the result is true then.
  private func wasKept(_ python: Python, _ used: [GILRequester]) -> Bool {
    guard let first = python.main.requester else { return false }
    let began = Clock.monotonicNanoseconds()
    let step = UInt64(interval.load(ordering: .relaxed)) &* 1_000
    first.ask()
    if first.wait(until: began &+ step / 5) { return false }
    // They ask again and again: whoever gets the GIL then may be one that has just given it up.
    var askers = used
    var now = began
    repeat {
      for requester in askers { requester.ask() }
      now = Clock.monotonicNanoseconds()
      // What computes need belong to no request: it is a thread of an application then, or an exit function.
      if now &- began > 3 &* step { askers = python.requesters }
    } while !first.wait(until: now &+ step)
    return true
  }
}

extension Python {
  /// The process may have threads of its own from now on.
  public func startThreads() {
    table.withLock { $0.startsThreads = true }
    watchIfShared()
  }

  /// Sets the switch interval of an interpreter's GIL. Attached to it, or to another that shares that.
  public func setSwitchInterval(_ seconds: Double, _ interpreter: Interpreter) throws(Raised) {
    _ = try PythonCode.sys("setswitchinterval")?.call(try PyRef.float(seconds))
    if !interpreter.hasOwnGIL { watch?.setInterval(seconds) }
  }

  /// Requests come to an interpreter, or imports.
  func noteRequests(to interpreter: Interpreter) {
    table.withLock { _ in
      interpreter.hasRequests = true
      // Whoever leaves an interpreter that may end goes by way of main.
      if Python.keepsLastState, interpreter.canEnd { main.hasRequests = true }
    }
    watchIfShared()
  }

  /// Has the GIL watched from now on, or looked at, where interpreters share it.
  func watchIfShared() {
    guard let watch else { return }
    let (isShared, isWatched) = table.withLock { table in (table.startsThreads && table.sharesGIL, table.isWatched) }
    guard isShared else { return }
    if isWatched { return watch.wake() }
    table.withLock { table in if !table.isWatched { table.isWatched = watch.start(self) } }
  }

  /// Those of the interpreters that share the GIL and are in use; nil where no two share it.
  var requestersInUse: [GILRequester]? {
    table.withLock { table in table.sharesGIL ? table.inUse.compactMap(\.requester) : nil }
  }

  /// Those of all interpreters that share the GIL.
  var requesters: [GILRequester] { table.withLock { $0.living.compactMap(\.requester) } }
}

extension Python.Table {
  fileprivate var living: [Interpreter] { interpreters + successors + retired + ending }

  fileprivate var inUse: [Interpreter] {
    var found: [Interpreter] = []
    for attachment in attachments where attachment.isInUse {
      if !found.contains(where: { $0 === attachment.interpreter }) { found.append(attachment.interpreter) }
    }
    return found
  }

  /// Two interpreters share the GIL, which requests come to or others use now.
  fileprivate var sharesGIL: Bool {
    let used = inUse
    return living.count { one in one.requester != nil && (one.hasRequests || used.contains { $0 === one }) } > 1
  }
}
