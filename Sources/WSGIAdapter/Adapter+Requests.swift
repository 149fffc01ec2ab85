import PythonRuntime
import Synchronization
import WSGICore

// Runs requests, and loads scripts, for hosts.

extension Adapter {
  /// Runs a request. Not attached; waits as long as the application does.
  public func run(_ request: RequestHead, _ exchange: RequestExchange, ticket: UInt64, flags: RunFlags) -> RequestOutcome {
    var refusal: InterpreterFailure?
    var flags = flags
    for _ in 0..<Adapter.attempts {
      let outcome = withRunner(request, exchange, &refusal) { $0.run(request, exchange, ticket: ticket, flags: flags) }
      guard let outcome else { break }
      if !outcome.isForAnotherInterpreter { return outcome }
      // A script that always wants to be reloaded is answered all the same.
      flags.insert(.newCode)
    }
    if case .tooMany = refusal { return RequestOutcome(.failed, status: 503) }
    return RequestOutcome(.failed, status: 500)
  }

  /// The number of interpreters that a request may come to, one after the other, because they have been retired.
  static let attempts = 3

  /// Lends a runner of the calling thread, in the request's interpreter; nil after logging why there is none.
  @inline(__always)
  func withRunner<R>(
    _ request: RequestHead, _ exchange: RequestExchange, _ refusal: inout InterpreterFailure?, _ body: (RequestRunner) -> R
  ) -> R? {
    let attachment: Attachment
    do throws(InterpreterFailure) {
      if isStopping.load(ordering: .relaxed) { throw .stopping }
      attachment = try python.attachment(request.applicationGroup, isOpenName: request.flags.contains(.openName)) {
        exchange.started(-1)
      }
    } catch {
      refuse(request, exchange, error)
      refusal = error
      return nil
    }
    defer { python.release(attachment) }
    let pool: RunnerPool
    if let known = attachment.contents {
      pool = unsafeDowncast(known, to: RunnerPool.self)
    } else {
      pool = RunnerPool(attachment)
      attachment.contents = pool
    }
    guard let runner = pool.take(self) else {
      refuse(request, exchange, .notConfigured)
      return nil
    }
    defer { pool.giveBack(runner) }
    return body(runner)
  }

  private func refuse(_ request: RequestHead, _ exchange: RequestExchange, _ failure: InterpreterFailure) {
    let group = String(decoding: request.applicationGroup, as: UTF8.self)
    if case .tooMany(let limit) = failure {
      exchange.log(
        .error,
        "WSGI0621: No interpreter for application group '\(group)': this process has \(limit) whose names come from "
          + "requests (WSGIMaxInterpreters). Use fixed names in the configuration, or raise the limit.")
      return
    }
    let reason =
      switch failure {
      case .notCreated(let sentence): sentence
      case .notConfigured: "it could not be set up (see above)"
      case .stopping, .tooMany: "the process is ending"
      }
    exchange.log(.error, "WSGI0087: No interpreter for application group '\(group)': \(reason).")
  }

  /// Imports a script into an application group. Not attached. False after logging why. `failure` names how the import failed; a
  /// failure that it names beforehand has been logged.
  public func load(_ applicationGroup: UnsafeRawBufferPointer, _ script: UnsafeRawBufferPointer, failure: inout UInt32) -> Bool {
    if failure != 0 { failures.expect(.init(path: Array(script), applicationGroup: Array(applicationGroup)), failure) }
    failure = 0
    let attachment: Attachment
    do throws(InterpreterFailure) { attachment = try python.attachment(applicationGroup) } catch {
      host.log(.error, "WSGI0087: No interpreter for script '\(String(decoding: script, as: UTF8.self))': \(error).")
      return false
    }
    defer { python.release(attachment) }
    var found: UInt32 = 0
    let isLoaded = attachment.run { gil -> Bool in
      guard let contents = attachment.interpreter.contents as? InterpreterContents else { return false }
      let request = ScriptLoader.Request(path: script, modified: ScriptTime.now(script), mayRetire: false)
      do throws(ScriptFailure) {
        _ = try ScriptLoader(contents: contents, attachment: attachment).script(request, gil)
        contents.flushStandardStreams()
        return true
      } catch {
        if case .notLoaded(let number) = error { found = number }
        return false
      }
    }
    failure = found
    return isLoaded
  }
}

/// The runners of one thread in one interpreter: one, or more where a request is answered by way of another (a sub-request).
/// Used by its own thread only.
final class RunnerPool {
  private unowned(unsafe) let attachment: Attachment
  private var idle: [RequestRunner] = []

  init(_ attachment: Attachment) { self.attachment = attachment }

  func take(_ adapter: Adapter) -> RequestRunner? {
    if let runner = idle.popLast() { return runner }
    guard let contents = attachment.interpreter.contents as? InterpreterContents else { return nil }
    let runner = RequestRunner(contents, attachment)
    adapter.running.add(runner)
    return runner
  }

  func giveBack(_ runner: RequestRunner) { idle.append(runner) }
}
