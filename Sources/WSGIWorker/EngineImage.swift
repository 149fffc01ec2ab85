import CEngine
import Glibc
import ProcessSupervision
import WSGICore

/// The engine that speaks Python: a table of functions from the image that the settings name.
struct EngineImage: @unchecked Sendable {
  // SAFETY: the table lies in an image that is never unloaded, and is not written.
  private let table: UnsafePointer<wsgi_engine>

  struct Failure: Error {
    /// The file is not there, rather than of no use.
    var isMissing: Bool
    var sentence: String
  }

  /// Loads the image, so that extension modules find the Python library that it brings.
  init(path: [UInt8]) throws(Failure) {
    let terminated = path.map { CChar(bitPattern: $0) } + [0]
    let shown = String(decoding: path, as: UTF8.self)
    guard let image = dlopen(terminated, RTLD_NOW | RTLD_GLOBAL) else {
      let missing = access(terminated, F_OK) != 0
      throw Failure(isMissing: missing, sentence: dlerror().map { String(cString: $0) } ?? shown)
    }
    guard let symbol = dlsym(image, WSGI_ENGINE_SYMBOL) else {
      throw Failure(isMissing: false, sentence: "\(shown) is no engine")
    }
    let table = UnsafeRawPointer(symbol).assumingMemoryBound(to: wsgi_engine.self)
    guard table.pointee.abi == WSGI_ENGINE_ABI else {
      throw Failure(isMissing: false, sentence: "\(shown) is an engine of another version than this process")
    }
    self.table = table
  }

  /// An engine within this image, for tests.
  init(table: UnsafePointer<wsgi_engine>) { self.table = table }

  /// `host` must live as long as the process. The failure says why Python does not run.
  func start(_ host: UnsafePointer<wsgi_host>, settings: [UInt8]) throws(Failure) {
    var explanation = [CChar](repeating: 0, count: 1024)
    let result = table.pointee.start?(host, settings, settings.count, &explanation, explanation.count) ?? -1
    guard result != 0 else { return }
    let bytes = explanation.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    throw Failure(isMissing: false, sentence: String(decoding: bytes, as: UTF8.self))
  }

  /// False: the script does not load; the engine has logged why, unless it is for the failure that `script` names. `failure` then
  /// names the one that there was.
  func load(_ script: WorkerSettings.Script, failure: inout UInt32) -> Bool {
    failure = script.failure
    let group = script.applicationGroup
    return table.pointee.load?(group, group.count, script.script, script.script.count, &failure) == 0
  }

  @inline(__always)
  func run(
    _ exchange: UnsafeMutableRawPointer, _ functions: UnsafePointer<wsgi_exchange>, _ head: UnsafeRawBufferPointer,
    ticket: UInt64, hasNewCode: Bool
  ) -> wsgi_outcome {
    var outcome = wsgi_outcome()
    table.pointee.run?(
      exchange, functions, head.baseAddress?.assumingMemoryBound(to: UInt8.self), head.count, ticket,
      (hasNewCode ? [.rejectsStale, .newCode] : RunFlags.rejectsStale).rawValue, &outcome)
    return outcome
  }

  func interrupt(_ ticket: UInt64) -> Bool { table.pointee.interrupt?(ticket) == 0 }

  /// The Python stack of a request, a line a frame; waits for the GIL at most so long.
  func stack(_ ticket: UInt64, milliseconds: UInt32) -> [String] { stacks(ticket, milliseconds: milliseconds).lines }

  /// The same of all threads; `isComplete` is false where the GIL could not be had, so that they were read without it.
  func allStacks(milliseconds: UInt32) -> (lines: [String], isComplete: Bool) { stacks(0, milliseconds: milliseconds) }

  private func stacks(_ ticket: UInt64, milliseconds: UInt32) -> (lines: [String], isComplete: Bool) {
    final class Lines { var all: [String] = [] }
    let lines = Lines()
    let result = table.pointee.stacks?(
      ticket, milliseconds,
      { context, record in
        guard let context, let text = record?.pointee.text, let length = record?.pointee.length else { return }
        let lines = Unmanaged<Lines>.fromOpaque(context).takeUnretainedValue()
        lines.all.append(String(decoding: UnsafeBufferPointer(start: text, count: length), as: UTF8.self))
      }, Unmanaged.passUnretained(lines).toOpaque())
    return (lines.all, result == 0)
  }

  func probe() { table.pointee.probe?() }
  func signal(_ number: Int32) { table.pointee.signal?(number) }
  func stopping(_ reason: String) { table.pointee.stopping?(reason) }
  func abandon() { table.pointee.abandon?() }
  func stop() { table.pointee.stop?() }
}
