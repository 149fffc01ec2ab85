import Glibc
import PythonRuntime
import WSGICore
import WSGIMeasurement

// A process that imports scripts for others, which are forks of it. It has one thread; whatever else the adapter does on threads
// of its own begins in them.

extension Adapter {
  /// Has the collector leave alone all that there is, which would copy its pages in every process. The names of the threads that
  /// Python knows of beside the calling one; nil: this Python cannot be forked.
  public func settle() -> [String]? {
    guard !Python.isBuiltWithoutGIL else { return nil }
    return python.withAttachment(to: python.main) { attachment in
      attachment.run { gil in
        PythonException.ignoring {
          if let contents = python.main.contents as? InterpreterContents { _ = try contents.function("freeze_objects").call() }
        }
        let own = attachment.identity
        return Adapter.threadNames(gil).filter { $0.key != own }.map(\.value).sorted()
      }
    }
  }

  /// 0 in the new process, 1 in this one, or a negated errno value.
  public func fork(_ begin: @convention(c) (UnsafeMutableRawPointer?) -> Int32, _ context: UnsafeMutableRawPointer?) -> Int32 {
    let result = python.withAttachment(to: python.main) { attachment in
      attachment.run { Python.fork($0, begin, context) }
    }
    guard result == 0 else { return result ?? -EINVAL }
    accounting.beginAgain()
    imports.startsThread = true
    python.startThreads()
    telemetry = startTelemetry()
    return 0
  }
}
