import CEngine
import DaemonTransport
import WSGICore

/// How the engine reaches the httpd child of the request that a thread runs: the table of `wsgi_exchange`, whose first argument
/// is that thread's `RequestThread`.
enum ExchangeTable {
  // SAFETY: written once, before the first request, and never freed.
  nonisolated(unsafe) static let functions: UnsafePointer<wsgi_exchange> = {
    let table = UnsafeMutablePointer<wsgi_exchange>.allocate(capacity: 1)
    table.initialize(
      to: wsgi_exchange(
        read: {
          thread($0)?.pointee.read(into: UnsafeMutableRawBufferPointer(start: $1, count: $2))
            ?? Int64(ExchangeFailure.failed.rawValue)
        },
        send: { context, head, headLength, body, bodyLength, flags in
          thread(context)?.pointee.send(
            head: head.map { UnsafeRawBufferPointer(start: $0, count: headLength) },
            body: UnsafeRawBufferPointer(start: body, count: bodyLength), flags: .init(rawValue: flags))
            ?? ExchangeFailure.failed.rawValue
        },
        send_file: { context, head, headLength, descriptor, offset, length in
          thread(context)?.pointee.sendFile(
            head: head.map { UnsafeRawBufferPointer(start: $0, count: headLength) }, descriptor: descriptor, offset: offset,
            length: length) ?? ExchangeFailure.failed.rawValue
        },
        log: { context, record in
          if let record { thread(context)?.pointee.log(record.pointee) }
        },
        log_level: { thread($0)?.pointee.logLevel.rawValue ?? 0 },
        started: { thread($0)?.pointee.begin($1) },
        is_https: nil, ssl_variable: nil, request_record: nil))
    return UnsafePointer(table)
  }()

  /// Nil where the engine calls without the exchange that it was given: such a call fails, and takes no other request down.
  @inline(__always)
  private static func thread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<RequestThread>? {
    context?.assumingMemoryBound(to: RequestThread.self)
  }
}
