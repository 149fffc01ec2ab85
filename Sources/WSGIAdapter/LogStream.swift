import Glibc
import Platform
import PythonRuntime
import WSGICore

/// The raw side of sys.stderr, sys.stdout and wsgi.errors (`mod_wsgi.Log`): bytes come in, log records leave, one a line.
///
/// What a thread writes without a line end waits for the rest of its line, per thread, so that lines of different threads are
/// never mixed. A stream of the process sends a request thread's lines to that request's log.
final class LogStream: NativeObject {
  /// The methods, in the order of `invoke`'s indices.
  static let methods: [StaticString] = [
    "write", "writelines", "flush", "close", "isatty", "readable", "seekable", "writable", "fileno", "read", "readline",
    "readlines", "seek", "tell", "truncate", "detach",
  ]

  private unowned(unsafe) let adapter: Adapter
  /// The request that a wsgi.errors belongs to; nil for a stream of the process.
  private unowned(unsafe) let request: RunningRequest?
  /// False once the request of a wsgi.errors has ended.
  var isActive = true
  /// The application closed it: it is not used for another request.
  private(set) var wasClosed = false
  private var tails: [UInt: [UInt8]] = [:]
  private var followsLineEnd = false
  private static let warned = FirstTime()

  init(_ adapter: Adapter, request: RunningRequest?) {
    self.adapter = adapter
    self.request = request
  }

  override func invoke(_ method: Int, _ arguments: Arguments, _ gil: borrowing GILToken) throws(Raised) -> PyRef {
    switch method {
    case 0, 1:
      let name = LogStream.methods[method]
      try arguments.expect(1...1, name)
      guard isActive else { throw Raised(.runtimeError, "\(name)() called on wsgi.errors after request completed") }
      let value = arguments[0] ?? .none
      if method == 0 { return try write(value) }
      let items = try value.iterator()
      while let item = try items.next() { _ = try write(item.object) }
      return .none()
    case 2:
      // A text stream flushes by itself after a text with a line end in it; what follows that end still waits for its own.
      if followsLineEnd { followsLineEnd = false } else { flushTail() }
      return .none()
    case 3:
      flushTail()
      wasClosed = true
      return .none()
    case 4, 5, 6: return .bool(false)
    case 7: return .bool(true)
    case 8: throw LogStream.unsupported("the log has no file descriptor of its own")
    default: throw LogStream.unsupported("\(LogStream.methods[method])() of the log: it can only be written to")
    }
  }

  /// io.UnsupportedOperation, which is an OSError and a ValueError.
  private static func unsupported(_ reason: String) -> Raised {
    do throws(Raised) {
      let module = try PythonCode.importModule("io")
      let exception = try module.attribute("UnsupportedOperation").call(try PyRef.string(reason))
      return Raised(exception)
    } catch {
      return error
    }
  }

  private func write(_ value: PyObj) throws(Raised) -> PyRef {
    if value.isString {
      // Text has no place in a byte stream; older code writes it all the same.
      if LogStream.warned.isFirst {
        adapter.host.log(.warning, "WSGI0500: str written to the .buffer of a log stream; write to the stream itself.")
      }
      if let bytes = value.latin1 {
        append(bytes)
      } else {
        var wide = value.text ?? ""
        wide.withUTF8 { append(UnsafeRawBufferPointer($0)) }
      }
      return try .int(value.characterCount)
    }
    var count = 0
    try value.withBuffer { bytes in
      count = bytes.count
      append(bytes)
    }
    return try .int(count)
  }

  private func append(_ bytes: UnsafeRawBufferPointer) {
    let key = LogStream.threadKey
    followsLineEnd = false
    var start = 0
    var tail = tails.removeValue(forKey: key) ?? []
    for index in bytes.indices where bytes[index] == 0x0A {
      if tail.isEmpty {
        emit(UnsafeRawBufferPointer(rebasing: bytes[start..<index]))
      } else {
        tail.append(contentsOf: bytes[start..<index])
        tail.withUnsafeBytes { emit($0) }
        tail.removeAll(keepingCapacity: true)
      }
      start = index + 1
      followsLineEnd = true
    }
    if start < bytes.count { tail.append(contentsOf: bytes[start...]) }
    if tail.count > LogPieces.limit { tail = tail.withUnsafeBytes { LogPieces.last(of: $0, emit) } }
    if !tail.isEmpty { tails[key] = tail }
  }

  /// Sends the calling thread's incomplete line.
  func flushTail() {
    guard !tails.isEmpty, let tail = tails.removeValue(forKey: LogStream.threadKey) else { return }
    tail.withUnsafeBytes { emit($0) }
  }

  private static var threadKey: UInt { UInt(pthread_self()) }

  private func emit(_ line: UnsafeRawBufferPointer) {
    let owner = (request as LogOwner?) ?? adapter.logOwnerHere
    owner.log(.error, line, file: nil, line: 0)
  }
}
