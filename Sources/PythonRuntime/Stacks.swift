import CPython

public struct StackFrame {
  public let file: String
  public let function: String
  public let line: Int32
}

/// The activity of a thread in an interpreter.
public struct ThreadStack {
  /// CPython's identity of the thread.
  public let identity: UInt
  /// Innermost first; at most `depth`.
  public let frames: [StackFrame]

  /// As many as faulthandler shows.
  fileprivate static let depth = 100

  fileprivate init(_ state: UnsafeMutablePointer<PyThreadState>) {
    final class FrameList { var frames: [StackFrame] = [] }
    let list = FrameList()
    wsgi_py_walk_frames(
      state,
      { context, file, function, line in
        guard let context, let file, let function else { return false }
        let list = Unmanaged<FrameList>.fromOpaque(context).takeUnretainedValue()
        list.frames.append(StackFrame(file: String(cString: file), function: String(cString: function), line: line))
        return list.frames.count < ThreadStack.depth
      }, Unmanaged.passUnretained(list).toOpaque())
    identity = UInt(wsgi_py_thread_ident(state))
    frames = list.frames
  }
}

extension Attachment {
  /// The stack of this attachment's thread; read by another thread attached to the same interpreter.
  public func stack(_ gil: borrowing GILToken) -> ThreadStack { ThreadStack(state) }
}

extension Interpreter {
  /// The stacks of its threads, without those that run no Python code.
  public func stacks(_ gil: borrowing GILToken) -> [ThreadStack] {
    // The garbage collector could run an application's code, and that could end a thread whose state is being read.
    let collects = PyGC_Disable() != 0
    defer { if collects { PyGC_Enable() } }
    var found: [ThreadStack] = []
    var next = PyInterpreterState_ThreadHead(state)
    while let thread = next {
      found.append(ThreadStack(thread))
      next = PyThreadState_Next(thread)
    }
    return found.filter { !$0.frames.isEmpty }
  }

  /// Writes the stacks of its threads to a descriptor without the GIL; approximate, for when it cannot be had, and nothing where
  /// this Python has no means for it.
  public func dumpWithoutGIL(to descriptor: Int32) { wsgi_py_dump_without_gil(state, descriptor) }
}
