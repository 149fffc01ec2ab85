import PythonRuntime

/// Shorter turns with the GIL while an interpreter is made that loads an application anew.
///
/// An import computes for long; a request of a neighbour that asks for the GIL meanwhile would wait for Python's whole switch
/// interval each time. All use is under the GIL that the interpreters share, which guards what is in here.
final class ShortTurns: @unchecked Sendable {
  /// In seconds; Python's own interval is ten times that.
  private static let interval = 0.0005

  private var count = 0
  private var usual = 0.0

  /// Nothing where Python has no GIL, or its interval is short already.
  func begin(_ python: Python, _ interpreter: Interpreter) {
    count &+= 1
    guard count == 1, !Python.isBuiltWithoutGIL, let found = current, found > ShortTurns.interval else { return }
    usual = found
    PythonException.ignoring { try python.setSwitchInterval(ShortTurns.interval, interpreter) }
  }

  /// The interval is what it was before, unless the application has set it meanwhile.
  func end(_ python: Python, _ interpreter: Interpreter) {
    count &-= 1
    guard count == 0, usual > 0 else { return }
    if let found = current, abs(found - ShortTurns.interval) < ShortTurns.interval / 100 {
      PythonException.ignoring { try python.setSwitchInterval(usual, interpreter) }
    }
    usual = 0
  }

  private var current: Double? { PythonException.ignoring { try PythonCode.sys("getswitchinterval")?.call().double() } }
}
