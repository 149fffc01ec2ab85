import CEngine
import WSGIAdapter
import WSGICore

/// The request's host across the seam: calls the function table that `run` was given.
final class HostExchange: RequestExchange {
  private let context: UnsafeMutableRawPointer?
  private let functions: UnsafePointer<wsgi_exchange>

  init(_ context: UnsafeMutableRawPointer?, _ functions: UnsafePointer<wsgi_exchange>) {
    self.context = context
    self.functions = functions
  }

  private static func bytes(_ buffer: UnsafeRawBufferPointer?) -> UnsafePointer<UInt8>? {
    buffer?.baseAddress?.assumingMemoryBound(to: UInt8.self)
  }

  override func read(into buffer: UnsafeMutableRawBufferPointer) -> Int64 {
    guard let read = functions.pointee.read else { return Int64(ExchangeFailure.failed.rawValue) }
    return read(context, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), buffer.count)
  }

  override func send(head: UnsafeRawBufferPointer?, body: UnsafeRawBufferPointer, flags: SendFlags) -> Int32 {
    guard let send = functions.pointee.send else { return ExchangeFailure.failed.rawValue }
    return send(context, HostExchange.bytes(head), head?.count ?? 0, HostExchange.bytes(body), body.count, flags.rawValue)
  }

  override func sendFile(head: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64) -> Int32 {
    guard let send = functions.pointee.send_file else { return ExchangeFailure.failed.rawValue }
    return send(context, HostExchange.bytes(head), head?.count ?? 0, descriptor, offset, length)
  }

  override func log(_ level: LogLevel, _ text: UnsafeRawBufferPointer, file: String?, line: Int) {
    guard let log = functions.pointee.log else { return }
    withRecord(level, text, file: file, line: line) { log(context, $0) }
  }

  override var logLevel: LogLevel { functions.pointee.log_level.map { LogLevel(clamping: $0(context)) } ?? .info }

  override func started(_ microseconds: Int64) { functions.pointee.started?(context, microseconds) }

  override var isHTTPS: Bool { (functions.pointee.is_https?(context) ?? 0) != 0 }

  override func sslVariable(_ name: [UInt8]) -> [UInt8]? {
    guard let lookUp = functions.pointee.ssl_variable else { return nil }
    let name = (name + [0]).map { CChar(bitPattern: $0) }
    // Certificates may be longer than most values are.
    return written(capacity: 4096, limit: 16 << 20, attempts: 2) {
      let length = lookUp(context, name, $0, $1)
      return length < 0 ? nil : Int(length)
    }
  }

  override var requestRecord: UnsafeMutableRawPointer? { functions.pointee.request_record?(context) }
}

/// The process's host across the seam.
final class EngineHost: ProcessHost, @unchecked Sendable {  // the table is immutable, its functions are thread-safe
  private let host: UnsafePointer<wsgi_host>

  /// `host` stays valid for the life of the process.
  init(_ host: UnsafePointer<wsgi_host>) { self.host = host }

  override func log(_ level: LogLevel, _ text: UnsafeRawBufferPointer, file: String?, line: Int) {
    guard let log = host.pointee.log else { return }
    withRecord(level, text, file: file, line: line) { log(host.pointee.context, $0) }
  }

  override var logLevel: LogLevel { host.pointee.log_level.map { LogLevel(clamping: $0(host.pointee.context)) } ?? .info }

  override func serverMetrics() -> [UInt8]? {
    guard let ask = host.pointee.server_metrics else { return nil }
    return written(capacity: 65536, limit: 64 << 20, attempts: 3) {
      let needed = ask(host.pointee.context, $0, $1)
      return needed == 0 ? nil : needed
    }
  }

  override func replaceProcess(_ script: [UInt8], _ applicationGroup: [UInt8]) {
    host.pointee.replace?(host.pointee.context, script, script.count, applicationGroup, applicationGroup.count)
  }

  override var board: UnsafeMutableRawPointer? { host.pointee.board }
}

/// The bytes that `write` writes to a buffer: it says how many there are, and is asked again where there is no room for them, or
/// gives nil.
private func written(
  capacity: Int, limit: Int, attempts: Int, _ write: (UnsafeMutablePointer<UInt8>?, Int) -> Int?
) -> [UInt8]? {
  var capacity = capacity
  for _ in 0..<attempts {
    var buffer = [UInt8](repeating: 0, count: capacity)
    let written = buffer.withUnsafeMutableBufferPointer { write($0.baseAddress, $0.count) }
    guard let count = written, count <= limit else { return nil }
    if count <= capacity { return Array(buffer.prefix(count)) }
    capacity = count
  }
  return nil
}

/// Makes a C log record for the duration of a call.
private func withRecord(
  _ level: LogLevel, _ text: UnsafeRawBufferPointer, file: String?, line: Int,
  _ body: (UnsafePointer<wsgi_log_record>) -> Void
) {
  func pass(_ file: UnsafePointer<CChar>?) {
    var record = wsgi_log_record(
      level: level.rawValue, line: UInt32(clamping: line), file: file,
      text: text.baseAddress?.assumingMemoryBound(to: UInt8.self), length: text.count)
    body(&record)
  }
  if let file { file.withCString { pass($0) } } else { pass(nil) }
}
