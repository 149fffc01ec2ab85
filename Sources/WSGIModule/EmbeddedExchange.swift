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
  let script: UnsafePointer<CChar>
  private(set) var response: ClientResponse
  private var bodyBrigade: OpaquePointer?
  private var bodyFailure: Int64 = 0
  private var prefix: UnsafePointer<CChar>?

  init(_ request: OpaquePointer, script: UnsafePointer<CChar>, response: consuming ClientResponse) {
    self.request = request
    self.script = script
    self.response = response
  }

  mutating func read(into buffer: UnsafeMutablePointer<UInt8>, capacity: Int) -> Int64 {
    guard bodyFailure == 0 else { return bodyFailure }
    let brigade = bodyBrigade ?? wsgi_httpd_make_brigade(request)
    bodyBrigade = brigade
    let count = wsgi_httpd_read(request, brigade, buffer, capacity)
    guard count < 0 else { return count }
    bodyFailure = count
    if count == Int64(IOResult.answered) {
      response.wasAnswered()
      bodyFailure = Int64(wsgi_httpd_status(request) == 413 ? IOResult.tooLarge : IOResult.failed)
    }
    return bodyFailure
  }

  mutating func send(_ head: UnsafeRawBufferPointer?, _ body: UnsafeRawBufferPointer, flags: UInt32) -> Int32 {
    response.send(head, body, flags: flags)
  }

  mutating func sendFile(_ head: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64) -> Int32 {
    response.sendFile(head, descriptor: descriptor, offset: offset, length: length)
  }

  mutating func log(_ record: wsgi_log_record) {
    let prefix = prefix ?? scriptPrefix(script, request)
    self.prefix = prefix
    logRequest(
      record.level, request, prefix: prefix, UnsafeRawBufferPointer(start: record.text, count: record.length),
      file: record.file, line: record.line)
  }

  /// Ends the response as the engine says the application ended; what the handler returns to httpd.
  mutating func conclude(_ outcome: wsgi_outcome) -> Int32 {
    switch (outcome.end, response.phase) {
    case (_, .closed):
      return wsgi_httpd_is_aborted(request) != 0 ? HookResult.ok : HookResult.answered
    case (_, .overridden(let status)): return status
    case (_, .complete): return HookResult.ok
    case (_, .sending):
      response.cut()
      return HookResult.ok
    case (Int32(WSGI_FAILED), .awaitingHead):
      return (400...599).contains(outcome.status) ? outcome.status : 500
    case (_, .awaitingHead):
      return wsgi_httpd_is_aborted(request) != 0 ? HookResult.ok : 500
    }
  }
}

// MARK: - The table that the engine gets

extension EmbeddedExchange {
  /// SAFETY: filled once, never changed.
  nonisolated(unsafe) static let functions: UnsafePointer<wsgi_exchange> = {
    let table = UnsafeMutablePointer<wsgi_exchange>.allocate(capacity: 1)
    table.initialize(to: wsgi_exchange(
      read: { exchange, buffer, capacity in
        guard let exchange = EmbeddedExchange.at(exchange), let buffer else { return Int64(IOResult.failed) }
        return exchange.pointee.read(into: buffer, capacity: capacity)
      },
      send: { exchange, head, headLength, body, bodyLength, flags in
        guard let exchange = EmbeddedExchange.at(exchange) else { return IOResult.failed }
        return exchange.pointee.send(
          head.map { UnsafeRawBufferPointer(start: $0, count: headLength) },
          UnsafeRawBufferPointer(start: body, count: bodyLength), flags: flags)
      },
      send_file: { exchange, head, headLength, descriptor, offset, length in
        guard let exchange = EmbeddedExchange.at(exchange) else { return IOResult.failed }
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
