import Glibc
import Platform
import PythonRuntime
import Synchronization
import WSGIMeasurement

// What a monitor wants to know of running requests, and do to them. The GIL may not be to be had at all, so that all of it
// happens on a thread of its own that the monitor waits for with a limit.

extension Adapter {
  /// Raises RequestTimeout in the thread that runs `ticket`. False where it does not run, or the GIL was not to be had.
  public func interrupt(_ ticket: UInt64) -> Bool {
    inspector.run(milliseconds: 1000) { [self] in
      guard let runner = running.running(ticket).first else { return false }
      return raise(in: runner, ticket)
    } ?? false
  }

  private func raise(in runner: RunningRequest, _ ticket: UInt64) -> Bool {
    let isRaised = python.withAttachment(to: runner.attachment.interpreter) { attachment in
      attachment.run { gil in
        guard runner.ticket.load(ordering: .relaxed) == ticket,
          let contents = attachment.interpreter.contents as? InterpreterContents
        else { return false }
        return Attachment.raiseAsynchronously(gil, contents.requestTimeout, inThread: runner.attachment.identity)
      }
    }
    return isRaised ?? false
  }
}
