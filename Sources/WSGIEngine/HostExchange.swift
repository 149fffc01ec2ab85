import CEngine
import Glibc
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
    var capacity = 4096
    // Certificates may be longer than most values are; their length is known after the first attempt.
    for _ in 0..<2 {
      var value = [UInt8](repeating: 0, count: capacity)
      let length = value.withUnsafeMutableBufferPointer { lookUp(context, name, $0.baseAddress, $0.count) }
      guard length >= 0, length <= 16 << 20 else { return nil }
      if length <= value.count { return Array(value.prefix(Int(length))) }
      capacity = Int(length)
    }
    return nil
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
    var capacity = 65536
    for _ in 0..<3 {
      var buffer = [UInt8](repeating: 0, count: capacity)
      let needed = buffer.withUnsafeMutableBufferPointer { ask(host.pointee.context, $0.baseAddress, $0.count) }
      if needed == 0 { return nil }
      if needed <= capacity { return Array(buffer.prefix(needed)) }
      guard needed <= 64 << 20 else { return nil }
      capacity = needed
    }
    return nil
  }
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
