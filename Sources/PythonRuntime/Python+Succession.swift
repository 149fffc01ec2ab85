import CPython
import Synchronization

// An interpreter whose application has changed is replaced by another of the same name, which loads the new code while the old
// one goes on. The old one is then retired (`Python+Retirement`), and so is a successor that could not load.

extension Python {
  /// Whether another interpreter of this name may be made: `generations` may live at a time. Any thread.
  public func mayReplace(_ interpreter: Interpreter, generations: Int) -> Bool {
    table.withLock { table in
      let others = (table.successors + table.retired + table.ending).count { $0.name == interpreter.name }
      return !table.stopping && others < generations - 1 && table.interpreters.contains { $0 === interpreter }
    }
  }

  /// Makes an interpreter that is to take another's place, and the calling thread's attachment to it. Not while attached.
  public func makeSuccessor(of interpreter: Interpreter) throws(InterpreterFailure) -> Attachment {
    try makeAttachment(interpreter.name, thread, interpreter.hasOpenName, succeeding: interpreter)
  }

  /// Gives the name to the successor, in which scripts have loaded: whatever begins from now on begins there. False where the
  /// interpreter no longer bears the name. Any thread.
  public func replace(_ interpreter: Interpreter, by successor: Interpreter) -> Bool {
    table.withLock { table in
      guard !table.stopping, let index = table.interpreters.firstIndex(where: { $0 === interpreter }),
        let next = table.successors.firstIndex(where: { $0 === successor })
      else { return false }
      table.successors.remove(at: next)
      table.interpreters[index] = successor
      table.retired.append(interpreter)
      interpreter.isReplaced.store(true, ordering: .relaxed)
      interpreter.isRetired.store(true, ordering: .sequentiallyConsistent)
      return true
    }
  }

  /// Gives up a successor that could not load; it is told to end, as its code may have started threads, and is ended when its
  /// attachments have been released. Any thread.
  public func giveUp(_ successor: Interpreter) {
    table.withLock { table in
      table.successors.removeAll { $0 === successor }
      table.retired.append(successor)
      successor.isReplaced.store(true, ordering: .relaxed)
      successor.isRetired.store(true, ordering: .sequentiallyConsistent)
    }
  }
}
