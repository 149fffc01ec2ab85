import CEngine
import Glibc

/// A loaded engine image: Python for its host, an httpd child or a daemon process.
public struct Engine: @unchecked Sendable {
  // SAFETY: the table is constant, its image is never unloaded, and its functions may be called on any thread.
  public let table: UnsafePointer<wsgi_engine>

  @inlinable public init(table: UnsafePointer<wsgi_engine>) { self.table = table }

  /// Loads the image; it stays loaded for good.
  public init(path: String) throws(EngineFailure) {
    // RTLD_GLOBAL: Python's extension modules look for libpython's symbols among the global ones.
    guard let image = dlopen(path, RTLD_NOW | RTLD_GLOBAL), let symbol = dlsym(image, WSGI_ENGINE_SYMBOL) else {
      let reason = dlerror().map { String(cString: $0) } ?? "unknown reason"
      let sentence = "the engine '\(path)' cannot be loaded: \(reason)"
      throw access(path, F_OK) == 0 ? .unusable(sentence) : .missing(sentence)
    }
    table = UnsafePointer(symbol.assumingMemoryBound(to: wsgi_engine.self))
    guard table.pointee.abi == WSGI_ENGINE_ABI else {
      throw .unusable("the engine '\(path)' belongs to another build of mod_wsgi; rebuild and install it with 'make engine'")
    }
  }

  /// Initialises Python on the calling thread. `host` must live as long as the process.
  public func start(_ host: UnsafePointer<wsgi_host>, settings: [UInt8]) throws(EngineFailure) {
    let reason = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 2048) { error -> String? in
      error.initialize(repeating: 0)
      guard table.pointee.start?(host, settings, settings.count, error.baseAddress, error.count) != 0 else { return nil }
      return error.baseAddress.map { String(cString: $0) } ?? ""
    }
    if let reason { throw .notStarted(reason) }
  }

  /// Imports a script into an application group. False: it does not load, and the engine has logged why, unless the reason is
  /// the failure that `failure` names beforehand. `failure` then names the one that there was.
  public func load(_ script: [UInt8], into applicationGroup: [UInt8], failure: inout UInt32) -> Bool {
    table.pointee.load?(applicationGroup, applicationGroup.count, script, script.count, &failure) == 0
  }

  /// Makes Python ready for `fork`. The result are the names of the threads that it knows of beside this one; nil: it cannot be
  /// forked.
  public func settle() -> [String]? {
    let lines = RecordTexts()
    return table.pointee.settle?(RecordTexts.add, Unmanaged.passUnretained(lines).toOpaque()) == 0 ? lines.all : nil
  }

  /// Forks the process. `begin` is called in the new one before anything of Python's, and says whether it may go on. The result
  /// is 0 in the new process, 1 in this one, or a negated errno value.
  public func fork(_ begin: @escaping () -> Bool) -> Int32 {
    var begin = begin
    return withUnsafeMutablePointer(to: &begin) { pointer in
      table.pointee.fork?({ $0?.assumingMemoryBound(to: (() -> Bool).self).pointee() == true ? 0 : -1 }, pointer) ?? -ENOSYS
    }
  }

  @inlinable @inline(__always)
  public func run(
    _ exchange: UnsafeMutableRawPointer, _ functions: UnsafePointer<wsgi_exchange>, _ head: UnsafeRawBufferPointer,
    ticket: UInt64, flags: RunFlags
  ) -> wsgi_outcome {
    var outcome = wsgi_outcome()
    table.pointee.run?(
      exchange, functions, head.baseAddress?.assumingMemoryBound(to: UInt8.self), head.count, ticket, flags.rawValue, &outcome)
    return outcome
  }

  /// Calls a function of the head's script.
  public func call(
    _ exchange: UnsafeMutableRawPointer, _ functions: UnsafePointer<wsgi_exchange>, _ head: UnsafeRawBufferPointer,
    _ call: inout wsgi_call
  ) -> AnswerKind {
    let head = head.bindMemory(to: UInt8.self)
    return table.pointee.call.map { AnswerKind(rawValue: $0(exchange, functions, head.baseAddress, head.count, &call)) }
      ?? .unloadable
  }

  public func interrupt(_ ticket: UInt64) -> Bool { table.pointee.interrupt?(ticket) == 0 }

  /// The Python stack of a request's thread, a line a frame; ticket 0: of all threads. `isComplete` is false where the GIL was
  /// not free within the time, so that the stacks were read without it.
  public func stacks(_ ticket: UInt64, milliseconds: UInt32) -> (lines: [String], isComplete: Bool) {
    let lines = RecordTexts()
    let result = table.pointee.stacks?(ticket, milliseconds, RecordTexts.add, Unmanaged.passUnretained(lines).toOpaque())
    return (lines.all, result == 0)
  }

  public func probe() { table.pointee.probe?() }
  public func signal(_ number: Int32) { table.pointee.signal?(number) }
  public func stopping(_ reason: String) { table.pointee.stopping?(reason) }
  public func abandon() { table.pointee.abandon?() }
  public func stop() { table.pointee.stop?() }
}

/// Receives records of the engine's.
private final class RecordTexts {
  var all: [String] = []

  static let add: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<wsgi_log_record>?) -> Void = { context, record in
    guard let context, let text = record?.pointee.text, let length = record?.pointee.length else { return }
    let lines = Unmanaged<RecordTexts>.fromOpaque(context).takeUnretainedValue()
    lines.all.append(String(decoding: UnsafeBufferPointer(start: text, count: length), as: UTF8.self))
  }
}

/// Why a process has no Python; the description ends a sentence.
public enum EngineFailure: Error, CustomStringConvertible {
  /// No engine for its Python is installed.
  case missing(String)
  case unusable(String)
  case notStarted(String)

  public var description: String {
    switch self {
    case .missing(let sentence), .unusable(let sentence), .notStarted(let sentence): sentence
    }
  }
}
