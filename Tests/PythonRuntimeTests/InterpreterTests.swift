import Synchronization
import Testing

@testable import PythonRuntime

/// Interpreters, the threads that are attached to them, and native objects.
@Suite struct InterpreterTests {
  /// An object whose behaviour a test gives.
  private final class Probe: NativeObject {
    let onCall: (Arguments, borrowing GILToken) throws(Raised) -> PyRef
    var left = 2
    var onEnd: () -> Void = {}

    init(_ onCall: @escaping (Arguments, borrowing GILToken) throws(Raised) -> PyRef) { self.onCall = onCall }
    deinit { onEnd() }

    override func call(_ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef { try onCall(arguments, gil) }

    override func invoke(_ method: Int, _ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
      guard method == 1 else { throw Raised(.osError, "method \(method)") }
      return try .int(arguments.count)
    }

    override func next(_ gil: borrowing GILToken) throws(Raised) -> PyRef? {
      left -= 1
      return left < 0 ? nil : try .int(left)
    }
  }

  private static func run(_ source: String, _ name: StaticString, _ value: borrowing PyRef) throws -> String {
    let namespace = try PyRef.dict()
    try namespace.object.setItem("__builtins__", PythonCode.builtins)
    try namespace.object.setItem(name, value)
    let code = try PythonCode.compile(source, file: "test")
    try PythonCode.run(code.object, in: namespace.object)
    return try namespace.object.item("result").map { try repr($0) } ?? "?"
  }

  @Test func nativeObjects() throws {
    let source = """
      def fails(function):
          try:
              function()
          except Exception as exception:
              return type(exception).__name__, str(exception)
      result = [probe(1, 2), probe.second(7, 8), list(probe), fails(probe), fails(probe.first), fails(lambda: probe(a=1))]
      """
    var hasEnded = false
    let result = try inPython { _, _ in
      let type = try NativeType("test.Probe", methods: ["first", "second"], traits: [.callable, .iterator])
      var probe: Probe? = Probe { arguments, _ throws(Raised) in
        try arguments.expect(1...2, "probe")
        return try .int(arguments.count)
      }
      probe?.onEnd = { hasEnded = true }
      guard let made = probe else { return "" }
      let object = try type.make(made)
      probe = nil
      let result = try InterpreterTests.run(source, "probe", object)
      // The namespace and its function refer to each other.
      _ = try PythonCode.importModule("gc").attribute("collect").call()
      return result
    }
    #expect(
      result == "[2, 2, [1, 0], ('TypeError', 'probe() takes 1 to 2 positional arguments but 0 were given'), "
        + "('OSError', 'method 0'), ('TypeError', 'test.Probe takes no keyword arguments')]")
    #expect(hasEnded)
  }

  @Test func stacksShowTheInnermostFrameFirst() throws {
    var stack: ThreadStack?
    var all: [ThreadStack] = []
    let identity = try inPython { attachment, _ in
      let type = try NativeType("test.Function", methods: [], traits: .callable)
      let probe = Probe { _, gil in
        stack = attachment.stack(gil)
        all = attachment.interpreter.stacks(gil)
        return .none()
      }
      let object = try type.make(probe)
      _ = try InterpreterTests.run("def inner():\n    probe()\ndef outer():\n    inner()\nouter()", "probe", object)
      return attachment.identity
    }
    #expect(stack?.frames.map(\.function) == ["inner", "outer", "<module>"])
    #expect(stack?.frames.map(\.line) == [2, 4, 5] && stack?.frames.first?.file == "test")
    #expect(stack?.identity == identity && all.contains { $0.identity == identity })
  }

  @Test func interpretersShareNothing() throws {
    func note(_ group: String, _ value: Int) throws {
      try inPython(group) { _, _ in
        let builtins = try PythonCode.importModule("builtins")
        try builtins.object.setAttribute("noted", try PyRef.int(value))
      }
    }
    func noted(_ group: String) throws -> Int { try inPython(group) { _, _ in try evaluate("noted").int() } }
    try note("runtime-one", 1)
    try note("runtime-two", 2)
    #expect(try noted("runtime-one") == 1 && noted("runtime-two") == 2)
  }

  @Test func aThreadKeepsItsAttachments() throws {
    let labels = try inPython("runtime-one") { one, gil in
      #expect(!one.isNested && one.isInUse)
      // While the GIL is given up the same thread can be attached to another interpreter, or the same one again.
      let inner = one.detached(gil) {
        [
          try? inPython("runtime-two") { two, _ in two !== one ? two.interpreter.label : "the same" },
          try? inPython("runtime-one") { again, _ in again === one && again.isNested ? again.interpreter.label : "another" },
        ]
      }
      return inner + [try evaluate("'one'").text()]
    }
    #expect(labels == ["sub-interpreter 'runtime-two'", "sub-interpreter 'runtime-one'", "one"])
    #expect(try inPython { main, _ in main.interpreter.isMain && main.interpreter.label == "main interpreter" })
  }

  @Test func waitsAreTimedOnlyWhileWanted() throws {
    let waits = try inPython("runtime-one") { attachment, gil in
      let before = attachment.waits.load(ordering: .relaxed)
      attachment.detached(gil) {}
      attachment.timesWaits = true
      for _ in 0..<3 { attachment.detached(gil) {} }
      attachment.timesWaits = false
      attachment.detached(gil) {}
      return attachment.waits.load(ordering: .relaxed) - before
    }
    #expect(waits == 3)
  }
}
