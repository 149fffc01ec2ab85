import Glibc
import Platform
import PythonForTests
import Synchronization
import Testing

@testable import PythonRuntime

@Suite struct GILWatchTests {
  /// A call of it says whether to go on; it never lets go of the GIL.
  private final class Question: NativeObject {
    private let began = Clock.monotonicMilliseconds()
    static let isAsked = Atomic<Bool>(false)
    static let isOver = Atomic<Bool>(false)
    static let wasLate = Atomic<Bool>(false)
    static let isDone = Atomic<Bool>(false)

    override func call(_ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
      Question.isAsked.store(true, ordering: .relaxed)
      if Question.isOver.load(ordering: .relaxed) { return .bool(false) }
      guard Clock.monotonicMilliseconds() &- began > 60_000 else { return .bool(true) }
      Question.wasLate.store(true, ordering: .relaxed)
      return .bool(false)
    }
  }

  private static func compute() throws {
    try inPython("computing") { _, _ in
      let namespace = try PyRef.dict()
      try namespace.object.setItem("__builtins__", PythonCode.builtins)
      let type = try NativeType("test.Question", methods: [], traits: .callable)
      let question = try type.make(Question())
      try namespace.object.setItem("goes_on", question)
      let code = try PythonCode.compile("while goes_on(): pass", file: "test")
      try PythonCode.run(code.object, in: namespace.object)
    }
  }

  @Test func whatComputesLeavesTheGILToAnotherInterpreter() throws {
    #expect(try inPython("beside") { attachment, _ in attachment.interpreter.threadCount } > 0)
    let failure = DetachedThread.start {
      #expect(throws: Never.self) { try GILWatchTests.compute() }
      Question.isDone.store(true, ordering: .relaxed)
    }
    #expect(failure == 0)
    while !Question.isAsked.load(ordering: .relaxed) { usleep(1000) }
    for _ in 0..<3 { #expect(try inPython("beside") { _, _ in try evaluate("1 + 1").int() } == 2) }
    Question.isOver.store(true, ordering: .relaxed)
    while !Question.isDone.load(ordering: .relaxed) { usleep(1000) }
    let wasLate = Question.wasLate.load(ordering: .relaxed)
    #expect(!wasLate)
  }

  @Test func aRequesterIsNoThreadOfTheApplication() throws {
    let interpreter = try inPython("asked for") { attachment, _ in attachment.interpreter }
    guard let requester = interpreter.requester else {
      #expect(!GILWatch.isNeeded)
      return
    }
    let before = try inPython("asked for") { _, _ in interpreter.threadCount }
    requester.ask()
    #expect(requester.wait(until: nil))
    #expect(try inPython("asked for") { _, _ in interpreter.threadCount } == before)
    requester.end()
    requester.ask()
    #expect(try inPython("asked for") { _, _ in interpreter.threadCount } == before)
    requester.beginAgain()
  }
}
