import PythonRuntime
import WSGICore

/// A call of a function in an auth, access or dispatch script.
public struct ScriptCall {
  public var function: String
  /// Pairs: the positional arguments after environ as keys.
  public var arguments: UnsafeRawBufferPointer
  public var flags: CallFlags
  /// The most bytes that an answer may have.
  public var capacity: Int

  public init(function: String, arguments: UnsafeRawBufferPointer, flags: CallFlags, capacity: Int) {
    self.function = function
    self.arguments = arguments
    self.flags = flags
    self.capacity = capacity
  }
}

/// What such a function answered.
public struct ScriptAnswer {
  public var kind: AnswerKind
  public var bytes: [UInt8]
  /// The interpreter has been retired: the one that bears its name now is to be asked.
  var isForAnotherInterpreter = false

  init(_ kind: AnswerKind, _ bytes: [UInt8] = []) {
    self.kind = kind
    self.bytes = bytes
  }
}

extension Adapter {
  /// Calls a function of the head's script with the head's environ. Not attached.
  public func call(_ call: ScriptCall, _ request: RequestHead, _ exchange: RequestExchange) -> ScriptAnswer {
    var refusal: InterpreterFailure?
    for _ in 0..<Adapter.attempts {
      let answer = withRunner(request, exchange, &refusal) { $0.call(call, request, exchange) }
      guard let answer else { return ScriptAnswer(.noInterpreter) }
      if !answer.isForAnotherInterpreter { return answer }
    }
    return ScriptAnswer(.unloadable)
  }
}
