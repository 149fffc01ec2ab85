import CEngine
import CHTTPD
import Platform
import RequestCounting
import WSGICore

/// Functions that an httpd child offers the engine outside any request. They live as long as the process, as the engine keeps it.
struct HostTable: @unchecked Sendable {  // the table is constant
  let pointer: UnsafePointer<wsgi_host>

  /// The log limit of all applications in this httpd child.
  static let logShare = LogShare.ofProcess()

  init(server: OpaquePointer) {
    let table = UnsafeMutablePointer<wsgi_host>.allocate(capacity: 1)
    table.initialize(
      to: wsgi_host(
        context: UnsafeMutableRawPointer(server),
        log: { context, record in
          guard let record else { return }
          let text = UnsafeRawBufferPointer(start: record.pointee.text, count: record.pointee.length)
          guard HostTable.logShare.take(bytes: text.count, now: Int64(clamping: Clock.monotonicNanoseconds())) else { return }
          logServer(
            LogLevel(clamping: record.pointee.level), OpaquePointer(context), text, file: record.pointee.file,
            line: record.pointee.line)
        },
        log_level: { context in
          OpaquePointer(context).map { wsgi_httpd_server_log_level($0) } ?? LogLevel.error.rawValue
        },
        server_metrics: { _, buffer, capacity in
          let pairs = Scoreboard.pairs() ?? []
          if let buffer, pairs.count <= capacity {
            UnsafeMutableRawBufferPointer(start: buffer, count: capacity).copyBytes(from: pairs)
          }
          return pairs.count
        }))
    pointer = UnsafePointer(table)
  }
}
