import PythonRuntime
import WSGICore

/// A call of a function in an auth, access or dispatch script.
public struct ScriptCall {
  public var function: String
  /// Pairs: the positional arguments after environ as keys.
  public var arguments: UnsafeRawBufferPointer
  public var flags: Flags
  /// The most bytes that an answer may have.
  public var capacity: Int

  public struct Flags: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// The result is iterated, whatever its type.
    public static let wantsList = Flags(rawValue: 1)
    /// A str result is given as UTF-8; else as latin-1.
    public static let usesUTF8 = Flags(rawValue: 2)
    /// `function` names several, separated by commas, to be called with one environ.
    public static let each = Flags(rawValue: 4)
    /// The environ has the versions and mod_ssl's functions.
    public static let auth = Flags(rawValue: 8)
    /// The last argument is a password, which no log line may hold.
    public static let secret = Flags(rawValue: 16)
  }

  public init(function: String, arguments: UnsafeRawBufferPointer, flags: Flags, capacity: Int) {
    self.function = function
    self.arguments = arguments
    self.flags = flags
    self.capacity = capacity
  }
}

/// What such a function answered; the values are those of `engine.h`.
public struct ScriptAnswer {
  public enum Kind: Int32 {
    case none = 0, yes, no, string, bytes, list, other, raised, missing, unloadable, tooLong, badItem, notLatin1
    case noInterpreter, cutList
  }
  public var kind: Kind
  public var bytes: [UInt8]
  /// The interpreter has been retired: the one that bears its name now is to be asked.
  var isForAnotherInterpreter = false

  init(_ kind: Kind, _ bytes: [UInt8] = []) {
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
