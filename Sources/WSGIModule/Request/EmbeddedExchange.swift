import CEngine
import CHTTPD
import Glibc
import WSGICore

/// One request of an application that runs in this httpd child: the engine's way to the client.
///
/// It lives on the stack of the handler, and the engine uses it on that thread only. Apart from `log` and
/// `WSGI_SEND_TRY` it is called without the GIL.
struct EmbeddedExchange: ~Copyable {
  let request: OpaquePointer
  private(set) var response: ClientResponse
  private var body: ClientBody
  private let script: UnsafePointer<CChar>
  private var records: RequestLog

  init(_ request: OpaquePointer, script: UnsafePointer<CChar>, response: consuming ClientResponse) {
    self.request = request
    self.script = script
    self.response = response
    body = ClientBody(request)
    records = RequestLog(request, script: script, group: nil)
  }

  mutating func read(into buffer: UnsafeMutablePointer<UInt8>?, capacity: Int) -> Int64 {
    let count = body.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: capacity), wait: true)
    if body.wasAnswered { response.wasAnswered() }
    return count
  }

  /// Bytes that a response head may take in httpd beside what the application gave.
  private static let headAllowance = 2048

  mutating func send(_ head: UnsafeRawBufferPointer?, _ body: UnsafeRawBufferPointer, flags: SendFlags) -> Int32 {
    if flags.contains(.tryOnly) {
      let length = body.count + (head.map { $0.count + EmbeddedExchange.headAllowance } ?? 0)
      guard wsgi_httpd_would_fit(request, length) != 0 else { return ExchangeFailure.wouldBlock.rawValue }
    }
    let begun = head.map { response.begin($0, script: script) } ?? 0
    guard begun == 0 else { return begun }
    if flags.contains(.end) { return response.end(body, flush: flags.contains(.flush)) }
    return response.write(body, flush: flags.contains(.flush))
  }

  mutating func sendFile(_ head: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64) -> Int32 {
    let begun = head.map { response.begin($0, script: script) } ?? 0
    return begun == 0 ? response.sendFile(descriptor: descriptor, offset: offset, length: length) : begun
  }

  mutating func log(_ record: wsgi_log_record) {
    records.write(
      level: LogLevel(clamping: record.level), UnsafeRawBufferPointer(start: record.text, count: record.length),
      file: record.file,
      line: record.line)
  }

  /// Ends the response as the engine says that the application ended; what the handler tells httpd.
  mutating func conclude(_ outcome: wsgi_outcome) -> Int32 {
    switch response.phase {
    case .sending: response.cut()
    case .awaitingHead where outcome.end == RequestEnd.failed.rawValue:
      return (400...599).contains(outcome.status) ? outcome.status : 500
    default: break
    }
    return response.hookResult
  }
}

// MARK: - The table that the engine gets

extension EmbeddedExchange {
  /// SAFETY: filled once, never changed.
  nonisolated(unsafe) static let functions: UnsafePointer<wsgi_exchange> = {
    let table = UnsafeMutablePointer<wsgi_exchange>.allocate(capacity: 1)
    table.initialize(
      to: wsgi_exchange(
        read: { exchange, buffer, capacity in
          guard let exchange = EmbeddedExchange.at(exchange) else { return Int64(ExchangeFailure.failed.rawValue) }
          return exchange.pointee.read(into: buffer, capacity: capacity)
        },
        send: { exchange, head, headLength, body, bodyLength, flags in
          guard let exchange = EmbeddedExchange.at(exchange) else { return ExchangeFailure.failed.rawValue }
          return exchange.pointee.send(
            head.map { UnsafeRawBufferPointer(start: $0, count: headLength) },
            UnsafeRawBufferPointer(start: body, count: bodyLength), flags: SendFlags(rawValue: flags))
        },
        send_file: { exchange, head, headLength, descriptor, offset, length in
          guard let exchange = EmbeddedExchange.at(exchange) else { return ExchangeFailure.failed.rawValue }
          return exchange.pointee.sendFile(
            head.map { UnsafeRawBufferPointer(start: $0, count: headLength) }, descriptor: descriptor, offset: offset,
            length: length)
        },
        log: { exchange, record in
          guard let exchange = EmbeddedExchange.at(exchange), let record else { return }
          exchange.pointee.log(record.pointee)
        },
        log_level: { exchange in
          EmbeddedExchange.at(exchange).map { wsgi_httpd_request_log_level($0.pointee.request) } ?? LogLevel.error.rawValue
        },
        started: { _, _ in },
        is_https: { exchange in EmbeddedExchange.at(exchange).map { wsgi_httpd_is_https($0.pointee.request) } ?? 0 },
        ssl_variable: { exchange, name, buffer, capacity in
          guard let exchange = EmbeddedExchange.at(exchange), let name,
            let value = wsgi_httpd_ssl_variable(exchange.pointee.request, name)
          else { return -1 }
          let length = strlen(value)
          if let buffer { memcpy(buffer, value, min(length, capacity)) }
          return Int64(length)
        },
        request_record: { exchange in EmbeddedExchange.at(exchange).map { UnsafeMutableRawPointer($0.pointee.request) } }))
    return UnsafePointer(table)
  }()

  private static func at(_ exchange: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<EmbeddedExchange>? {
    exchange?.assumingMemoryBound(to: EmbeddedExchange.self)
  }
}
