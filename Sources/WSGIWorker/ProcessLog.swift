import CEngine
import Glibc
import Platform
import ProcessSupervision
import Synchronization
import WSGICore

/// The log records of the process that belong to no request. The supervisor writes them into the log of the group's server.
final class ProcessLog: Sendable {
  /// The highest level that the log would keep.
  let level: LogLevel
  private let control: ControlChannel
  /// The last record found no room for as long as records wait.
  private let isUnread = Atomic<Bool>(false)

  init(level: LogLevel, control: ControlChannel = .ofWorker) {
    self.level = level
    self.control = control
  }

  func write(_ level: LogLevel, _ text: String) { write(level, text.utf8) }

  /// A record of the engine's.
  func write(_ record: wsgi_log_record) {
    guard let text = record.text else { return }
    let file = UnsafeRawBufferPointer(start: record.file, count: record.file.map { strlen($0) } ?? 0)
    write(
      LogLevel(clamping: record.level), UnsafeBufferPointer(start: text, count: record.length), file: Array(file),
      line: record.line)
  }

  func write(_ level: LogLevel, _ text: some Sequence<UInt8>, file: [UInt8] = [], line: UInt32 = 0) {
    guard level <= self.level else { return }
    let text = Array(text)
    text.withUnsafeBytes { bytes in
      for piece in LogPieces(bytes, mostBytes: ControlMessage.textLimit) {
        let message = ControlMessage.log(LogRecord(level: level, file: file, line: line, text: Array(piece)))
        // So that records stay in order, they wait for the supervisor to read those before them, unless it has just failed to.
        let isSent =
          control.send(message)
          || !isUnread.load(ordering: .relaxed) && control.hasRoom(within: 1000) && control.send(message)
        isUnread.store(!isSent, ordering: .relaxed)
        if !isSent { writeOut(piece) }
      }
    }
  }

  /// The supervisor is being replaced, or has much to do: it reads our standard error too, line by line.
  private func writeOut(_ text: UnsafeRawBufferPointer) {
    var line: [UInt8] = []
    for byte in text { if byte == 0x0A { line += Array("\\n".utf8) } else { line.append(byte) } }
    line.append(0x0A)
    var done = 0
    while done < line.count {
      let count = line.withUnsafeBytes { bytes in
        systemCall { Glibc.write(2, bytes.baseAddress.map { $0 + done }, bytes.count - done) }
      }
      guard count > 0 else { return }
      done += count
    }
  }
}
