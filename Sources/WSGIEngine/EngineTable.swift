import CEngine
import CEngineTable
import Glibc
import PythonRuntime
import Synchronization
import WSGIAdapter
import WSGICore

/// The one adapter of this process, from `start` on.
private let shared = Mutex<Adapter?>(nil)
/// The same without the lock, for the request path: it is written once, before any request.
nonisolated(unsafe) private var adapter: Adapter?

/// Writes a sentence into a C buffer, cut to its size.
private func report(_ sentence: String, _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int) -> Int32 {
  guard let error, capacity > 0 else { return -1 }
  let bytes = Array(sentence.utf8.prefix(capacity - 1))
  for (index, byte) in bytes.enumerated() { error[index] = CChar(bitPattern: byte) }
  error[bytes.count] = 0
  return -1
}

private func give(
  _ line: String, to sink: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<wsgi_log_record>?) -> Void,
  _ context: UnsafeMutableRawPointer?
) {
  var text = line
  text.withUTF8 { utf8 in
    var record = wsgi_log_record(
      level: LogLevel.info.rawValue, line: 0, file: nil, text: utf8.baseAddress, length: utf8.count)
    sink(context, &record)
  }
}

@c @implementation
func wsgi_swift_engine_start(
  _ host: UnsafePointer<wsgi_host>?, _ settings: UnsafePointer<UInt8>?, _ length: Int,
  _ explanation: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  guard let host else { return report("the engine was given no host", explanation, capacity) }
  guard shared.withLock({ $0 == nil }) else { return report("the engine has been started before", explanation, capacity) }
  guard let decoded = EngineSettings(decoding: Array(UnsafeRawBufferPointer(start: settings, count: length))) else {
    return report("the settings cannot be read", explanation, capacity)
  }
  do {
    let made = try Adapter(settings: decoded, host: EngineHost(host))
    shared.withLock { $0 = made }
    adapter = made
    return 0
  } catch InterpreterFailure.notCreated(let sentence) {
    return report("Python cannot be initialised: \(sentence)", explanation, capacity)
  } catch {
    return report("Python cannot be set up; the messages before this one say why", explanation, capacity)
  }
}

@c @implementation
func wsgi_swift_engine_load(
  _ group: UnsafePointer<UInt8>?, _ groupLength: Int, _ script: UnsafePointer<UInt8>?, _ scriptLength: Int,
  _ failure: UnsafeMutablePointer<UInt32>?
) -> Int32 {
  guard let adapter else { return -1 }
  var number = failure?.pointee ?? 0
  let loaded = adapter.load(
    UnsafeRawBufferPointer(start: group, count: groupLength), UnsafeRawBufferPointer(start: script, count: scriptLength),
    failure: &number)
  failure?.pointee = number
  return loaded ? 0 : -1
}

@c @implementation
func wsgi_swift_engine_settle(
  _ sink: (@convention(c) (UnsafeMutableRawPointer?, UnsafePointer<wsgi_log_record>?) -> Void)?,
  _ context: UnsafeMutableRawPointer?
) -> Int32 {
  guard let sink, let names = adapter?.settle() else { return -1 }
  for name in names { give(name, to: sink, context) }
  return 0
}

@c @implementation
func wsgi_swift_engine_fork(
  _ begin: (@convention(c) (UnsafeMutableRawPointer?) -> Int32)?, _ context: UnsafeMutableRawPointer?
) -> Int32 {
  guard let adapter, let begin else { return -EINVAL }
  return adapter.fork(begin, context)
}

@c @implementation
func wsgi_swift_engine_run(
  _ exchange: UnsafeMutableRawPointer?, _ functions: UnsafePointer<wsgi_exchange>?, _ head: UnsafePointer<UInt8>?,
  _ length: Int, _ ticket: UInt64, _ flags: UInt32, _ outcome: UnsafeMutablePointer<wsgi_outcome>?
) {
  guard let outcome else { return }
  outcome.pointee = wsgi_outcome(
    end: RequestEnd.failed.rawValue, status: 500, script_loaded: 0, interrupted: 0, script_modified: 0, script_failure: 0)
  guard let adapter, let functions else { return }
  let host = HostExchange(exchange, functions)
  do throws(FlatFailure) {
    let request = try RequestHead(decoding: UnsafeRawBufferPointer(start: head, count: length))
    let result = adapter.run(request, host, ticket: ticket, flags: RunFlags(rawValue: flags))
    outcome.pointee = wsgi_outcome(
      end: result.end.rawValue, status: result.status, script_loaded: result.scriptLoaded ? 1 : 0,
      interrupted: result.interrupted ? 1 : 0, script_modified: result.scriptModified, script_failure: result.scriptFailure)
  } catch {
    host.log(.error, "WSGI0502: Cannot decode the request from the server: \(error).")
  }
}

@c @implementation
func wsgi_swift_engine_call(
  _ exchange: UnsafeMutableRawPointer?, _ functions: UnsafePointer<wsgi_exchange>?, _ head: UnsafePointer<UInt8>?,
  _ length: Int, _ call: UnsafeMutablePointer<wsgi_call>?
) -> Int32 {
  guard let adapter, let functions, let call else { return AnswerKind.unloadable.rawValue }
  let host = HostExchange(exchange, functions)
  let buffer = UnsafeMutableRawBufferPointer(start: call.pointee.buffer, count: call.pointee.capacity)
  do throws(FlatFailure) {
    let request = try RequestHead(decoding: UnsafeRawBufferPointer(start: head, count: length))
    let arguments = UnsafeRawBufferPointer(start: call.pointee.arguments, count: call.pointee.arguments_length)
    let wanted = ScriptCall(
      function: call.pointee.function.map { String(cString: $0) } ?? "", arguments: arguments,
      flags: CallFlags(rawValue: call.pointee.flags), capacity: buffer.count)
    let answer = adapter.call(wanted, request, host)
    guard answer.bytes.count <= buffer.count else { return AnswerKind.tooLong.rawValue }
    buffer.copyBytes(from: answer.bytes)
    call.pointee.length = answer.bytes.count
    return answer.kind.rawValue
  } catch {
    host.log(.error, "WSGI0502: Cannot decode the request from the server: \(error).")
    return AnswerKind.unloadable.rawValue
  }
}

@c @implementation
func wsgi_swift_engine_interrupt(_ ticket: UInt64) -> Int32 { adapter?.interrupt(ticket) == true ? 0 : -1 }

@c @implementation
func wsgi_swift_engine_stacks(
  _ ticket: UInt64, _ milliseconds: UInt32,
  _ sink: (@convention(c) (UnsafeMutableRawPointer?, UnsafePointer<wsgi_log_record>?) -> Void)?,
  _ context: UnsafeMutableRawPointer?
) -> Int32 {
  guard let adapter, let sink else { return -1 }
  let (lines, complete) =
    ticket == 0 ? adapter.allStacks(milliseconds: milliseconds) : adapter.stacks(ticket, milliseconds: milliseconds)
  for line in lines { give(line, to: sink, context) }
  return complete ? 0 : -1
}

@c @implementation
func wsgi_swift_engine_probe() { adapter?.python.probe() }

@c @implementation
func wsgi_swift_engine_signal(_ number: Int32) { adapter?.signal(number == SIGHUP ? "SIGHUP" : "SIGUSR2", Int(number)) }

@c @implementation
func wsgi_swift_engine_stopping(_ reason: UnsafePointer<CChar>?) {
  adapter?.stopping(reason: reason.map { String(cString: $0) } ?? "")
}

@c @implementation
func wsgi_swift_engine_stop() { adapter?.stop() }

@c @implementation
func wsgi_swift_engine_abandon() { adapter?.abandon() }
