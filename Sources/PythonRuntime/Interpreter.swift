import CPython
import Platform
import Synchronization

/// One application group's interpreter in this process.
///
/// Objects of it may only be touched by a thread that is attached to it (`Attachment.run`).
public final class Interpreter: @unchecked Sendable {  // guarded by the interpreter's GIL, but for `name` and `isMain`
  /// The application group; empty for the main interpreter.
  public let name: [UInt8]
  public let isMain: Bool
  public let hasOwnGIL: Bool
  /// A request brought it into being, with a name that no configuration fixes.
  let hasOpenName: Bool
  let state: OpaquePointer
  /// Where requests stand for its GIL; nil where there is none.
  let line: GILLine?
  /// Asks for the GIL in the place of threads of other interpreters; nil where CPython does not need it, or it shares no GIL.
  let requester: GILRequester?
  /// Requests have come to it, or imports. Guarded by the table's lock.
  var hasRequests = false
  /// Context of the room above for each interpreter.
  public var contents: AnyObject?
  /// CPython can end it while the process goes on.
  public let canEnd: Bool
  /// It may be retired: no script has loaded in it, and it can be ended.
  public let isDisposable: Atomic<Bool>
  /// It may be retired, or be replaced by another that has loaded the same script anew: whoever leaves it looks whether it is to
  /// be ended.
  let mayEnd: Atomic<Bool>
  /// Another interpreter bears its name: nothing new begins in it (`Python.retire`).
  public let isRetired = Atomic<Bool>(false)
  /// Another interpreter has taken its place with newer code: its application is told to end.
  public let isReplaced = Atomic<Bool>(false)
  /// It has been ended, and what threads still keep of it must not be used.
  let hasEnded = Atomic<Bool>(false)
  /// Taken while a script is imported, never while holding the GIL.
  public let importLock = RecursiveLock()

  init(name: [UInt8], isMain: Bool, hasOwnGIL: Bool, hasOpenName: Bool = false, state: OpaquePointer, line: GILLine?) {
    self.name = name
    self.isMain = isMain
    self.hasOwnGIL = hasOwnGIL
    self.hasOpenName = hasOpenName
    self.state = state
    self.line = line
    requester = GILWatch.isNeeded && !hasOwnGIL ? GILRequester(state) : nil
    canEnd = !isMain && Python.canRetire(hasOwnGIL: hasOwnGIL)
    isDisposable = Atomic(canEnd)
    mayEnd = Atomic(canEnd)
  }

  /// A script has loaded in it, and may have left what applications want to keep, unless it may be replaced. With the import
  /// lock, as `Python.retire`.
  public func keep(mayBeReplaced: Bool) {
    guard !isRetired.load(ordering: .relaxed) else { return }
    // The first script decides. Where another may not be replaced, leaving costs a little more than it need, and no harm is done.
    if isDisposable.load(ordering: .relaxed) { mayEnd.store(canEnd && mayBeReplaced, ordering: .relaxed) }
    isDisposable.store(false, ordering: .relaxed)
  }

  /// The number of its threads, those of this process's requests and the application's. Attached.
  var threadCount: Int { requester?.countOthers() ?? wsgi_py_thread_count(state) }

  /// Its name in log lines.
  public var label: String { isMain ? "main interpreter" : "sub-interpreter '\(String(decoding: name, as: UTF8.self))'" }
}

/// One thread in one interpreter: its thread state, kept for the life of the interpreter so that `threading.local` persists.
public final class Attachment: @unchecked Sendable {  // used by its own thread; others read it under the GIL
  public let interpreter: Interpreter
  let state: UnsafeMutablePointer<PyThreadState>
  public let environ = EnvironBuilder()
  private let line: GILLine?
  /// It lives as long as the process.
  private unowned(unsafe) let watch: GILWatch?
  private let place = GILLine.Place()
  /// Context of the room above for each thread and interpreter.
  public var contents: AnyObject?
  /// CPython's identity of this thread.
  public var identity: UInt { UInt(wsgi_py_thread_ident(state)) }

  /// Whether `run` and `detached` time how long they wait for the GIL. Set by the attachment's own thread.
  public var timesWaits = false
  /// How long (nanoseconds) and how often they waited while it was set. Written by its own thread, read by any.
  public let waited = Atomic<UInt64>(0)
  public let waits = Atomic<UInt64>(0)

  /// The number of uses of it that are under way, one within another; they keep the interpreter from being ended. Changed by
  /// its own thread.
  private let uses = Atomic<Int>(0)

  init(_ interpreter: Interpreter, _ state: UnsafeMutablePointer<PyThreadState>, _ watch: GILWatch?) {
    self.interpreter = interpreter
    self.state = state
    self.watch = interpreter.hasOwnGIL ? nil : watch
    line = interpreter.line
  }

  /// Begins a use; false where the interpreter has been retired, and no use may begin.
  ///
  /// The thread that ends the interpreter sets `isRetired` first and looks at the uses then; this is the other order.
  @inline(__always)
  func begin() -> Bool {
    beginAnyway()
    if !interpreter.isRetired.load(ordering: .sequentiallyConsistent) { return true }
    uses.subtract(1, ordering: .sequentiallyConsistent)
    return false
  }

  /// Begins a use of an interpreter that may have been retired. While holding the table's lock, with the interpreter in it.
  @inline(__always)
  func beginAnyway() {
    uses.add(1, ordering: .sequentiallyConsistent)
    watch?.noteUse()
  }

  @inline(__always)
  func end() { uses.subtract(1, ordering: .sequentiallyConsistent) }

  var isInUse: Bool { uses.load(ordering: .sequentiallyConsistent) > 0 }

  /// It is used within another use of it, by the same thread.
  public var isNested: Bool { uses.load(ordering: .relaxed) > 1 }

  @inline(__always)
  private func acquire(_ state: UnsafeMutablePointer<PyThreadState>?) {
    if timesWaits { acquireTimed(state, nil) } else { PyEval_RestoreThread(state) }
  }

  @inline(__always)
  private func acquire(_ state: UnsafeMutablePointer<PyThreadState>?, _ line: GILLine) {
    let isFirst = line.enter(place)
    PyEval_RestoreThread(state)
    if isFirst { line.leave() }
  }

  @inline(never)
  private func acquireTimed(_ state: UnsafeMutablePointer<PyThreadState>?, _ line: GILLine?) {
    let before = Clock.monotonicNanoseconds()
    if let line { acquire(state, line) } else { PyEval_RestoreThread(state) }
    waited.store(waited.load(ordering: .relaxed) &+ Clock.monotonicNanoseconds() &- before, ordering: .relaxed)
    waits.store(waits.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }

  /// Runs `body` attached: with this thread's state current and its GIL held.
  @inline(__always)
  public func run<R>(_ body: (borrowing GILToken) -> R) -> R {
    acquire(state)
    let result = body(GILToken())
    _ = PyEval_SaveThread()
    return result
  }

  /// The same for a request, which waits for its turn first.
  @inline(__always)
  public func runInTurn<R>(_ body: (borrowing GILToken) -> R) -> R {
    guard let line else { return run(body) }
    if timesWaits { acquireTimed(state, line) } else { acquire(state, line) }
    let result = body(GILToken())
    _ = PyEval_SaveThread()
    return result
  }

  /// Runs `body`, which may wait, without the GIL.
  @inline(__always)
  public func detached<R>(_ gil: borrowing GILToken, _ body: () -> R) -> R {
    // An application may hand its request's objects to a thread of its own: what is taken up again is what was laid down,
    // which need not be this attachment's own state.
    let current = PyEval_SaveThread()
    let result = body()
    acquire(current)
    return result
  }

  /// Raises `type` in the thread of `identity`, when it next runs Python code.
  public static func raiseAsynchronously(_ gil: borrowing GILToken, _ type: PyObj, inThread identity: UInt) -> Bool {
    PyThreadState_SetAsyncExc(identity, type.pointer) > 0
  }

  /// The thread of `identity` does not get what was raised so and has not reached it.
  public static func takeBackAsynchronous(_ gil: borrowing GILToken, inThread identity: UInt) {
    _ = PyThreadState_SetAsyncExc(identity, nil)
  }
}
