import CHTTPD
import WSGICore

/// httpd's scoreboard as pairs, for `mod_wsgi.server_metrics()`; WSGIAdapter's `ServerMetrics` reads them.
///
/// The supervisor, which may be root, builds them too: what other processes wrote is taken as bytes and numbers, whatever it
/// says.
enum Scoreboard {
  /// More slots than any server has.
  private static let slotLimit: Int32 = 1 << 18

  /// Nil where httpd has no scoreboard, or one that is too large.
  static func pairs() -> [UInt8]? {
    var board = wsgi_httpd_scoreboard()
    guard wsgi_httpd_get_scoreboard(&board) != 0 else { return nil }
    let processes = max(board.server_limit, 0)
    let threads = max(board.thread_limit, 0)
    let (slots, overflows) = processes.multipliedReportingOverflow(by: threads)
    guard !overflows, slots <= slotLimit else { return nil }
    var writer = FlatWriter(capacity: 65536)
    var count: UInt32 = 1
    writer.append(UInt32(0))
    writer.appendPair("server", "\(processes) \(threads) \(board.generation) \(board.restart_time)")
    for process in 0..<processes {
      var slot = wsgi_httpd_process_slot()
      guard wsgi_httpd_get_process_slot(process, &slot) != 0 else { break }
      writer.appendPair("process", "\(slot.pid) \(slot.generation) \(slot.is_quiescing)")
      count &+= 1
      for thread in 0..<threads {
        append(process, thread, to: &writer)
        count &+= 1
      }
    }
    writer.patch(count, at: 0)
    return Array(writer.bytes)
  }

  private static func append(_ process: Int32, _ thread: Int32, to writer: inout FlatWriter) {
    var slot = wsgi_httpd_worker_slot()
    wsgi_httpd_get_worker_slot(process, thread, &slot)
    let status = UInt8(bitPattern: slot.status)
    var value: [UInt8] = []
    if status != UInt8(ascii: ".") || slot.access_count != 0 || slot.last_used != 0 {
      value.append(status)
      let numbers =
        " \(slot.generation) \(slot.access_count) \(slot.bytes_served) \(slot.start_time) \(slot.stop_time) \(slot.last_used)"
      value.append(contentsOf: numbers.utf8)
      withUnsafeBytes(of: slot.client) { add($0, to: &value) }
      withUnsafeBytes(of: slot.vhost) { add($0, to: &value) }
      withUnsafeBytes(of: slot.request) { add($0, to: &value) }
    }
    value.withUnsafeBytes { writer.appendPair("worker", $0) }
  }

  /// A tab, and the text up to its NUL. Tabs are separators, but for the last text.
  private static func add(_ text: UnsafeRawBufferPointer, to value: inout [UInt8]) {
    value.append(UInt8(ascii: "\t"))
    value.append(contentsOf: text.prefix { $0 != 0 })
  }
}
