import PythonRuntime
import WSGICore

/// A call of a function in an auth, access or dispatch script.
public struct ScriptCall {
  public var function: String
  /// Pairs: the positional arguments after environ as keys.
  public var arguments: UnsafeRawBufferPointer
  /// The result is iterated, whatever its type.
  public var wantsList: Bool
  /// A str result is given as UTF-8; else as latin-1.
  public var usesUTF8: Bool

  public init(function: String, arguments: UnsafeRawBufferPointer, wantsList: Bool, usesUTF8: Bool) {
    self.function = function
    self.arguments = arguments
    self.wantsList = wantsList
    self.usesUTF8 = usesUTF8
  }
}

/// What such a function answered; the values are those of `engine.h`.
public struct ScriptAnswer {
  public enum Kind: Int32 {
    case none = 0, yes, no, string, bytes, list, other, raised, missing, unloadable, tooLong, badItem
  }
  public var kind: Kind
  public var bytes: [UInt8]

  init(_ kind: Kind, _ bytes: [UInt8] = []) {
    self.kind = kind
    self.bytes = bytes
  }
}

extension Adapter {
  /// Calls a function of the head's script with the head's environ. Not attached.
  public func call(_ call: ScriptCall, _ request: RequestHead, _ exchange: RequestExchange) -> ScriptAnswer {
    withRunner(request, exchange) { $0.call(call, request, exchange) } ?? ScriptAnswer(.unloadable)
  }
}
