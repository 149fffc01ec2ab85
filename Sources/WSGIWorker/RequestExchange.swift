import CEngine
import DaemonTransport

/// How the engine reaches the httpd child of the request that a thread runs: the table of `wsgi_exchange`, whose first argument
/// is that thread's `RequestThread`.
enum RequestExchange {
  // SAFETY: written once, before the first request, and never freed.
  nonisolated(unsafe) static let functions: UnsafePointer<wsgi_exchange> = {
    let table = UnsafeMutablePointer<wsgi_exchange>.allocate(capacity: 1)
    table.initialize(
      to: wsgi_exchange(
        read: { thread($0).pointee.read(into: UnsafeMutableRawBufferPointer(start: $1, count: $2)) },
        send: { context, head, headLength, body, bodyLength, flags in
          thread(context).pointee.send(
            head: head.map { UnsafeRawBufferPointer(start: $0, count: headLength) },
            body: UnsafeRawBufferPointer(start: body, count: bodyLength), flags: .init(rawValue: flags))
        },
        send_file: { context, head, headLength, descriptor, offset, length in
          thread(context).pointee.sendFile(
            head: head.map { UnsafeRawBufferPointer(start: $0, count: headLength) }, descriptor: descriptor, offset: offset,
            length: length)
        },
        log: { context, record in
          if let record { thread(context).pointee.log(record.pointee) }
        },
        log_level: { thread($0).pointee.logLevel },
        started: { context, _ in
          if thread(context).pointee.marksActivity { thread(context).pointee.worker.markActivity() }
        },
        is_https: nil, ssl_variable: nil, request_record: nil))
    return UnsafePointer(table)
  }()

  @inline(__always)
  private static func thread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<RequestThread> {
    guard let context else { fatalError("the engine calls back without the exchange that it was given") }
    return context.assumingMemoryBound(to: RequestThread.self)
  }
}
