import CEngine
import Glibc
import ProcessSupervision
import WSGICore

/// The log records of the process that belong to no request. The supervisor writes them into the log of the group's server.
final class ProcessLog: Sendable {
  /// The highest level that the log would keep.
  let level: Int32
  private let control: ControlChannel

  init(level: Int32, control: ControlChannel = .ofWorker) {
    self.level = level
    self.control = control
  }

  func write(_ level: LogLevel, _ text: String) {
    guard level.rawValue <= self.level else { return }
    pass(ControlLog(level: level.rawValue, text: Array(text.utf8)))
  }

  /// A record of the engine's; `prefix` says what it belongs to.
  func write(_ record: wsgi_log_record, prefix: String = "") {
    guard record.level <= level, let text = record.text else { return }
    let file = record.file.map { Array(UnsafeBufferPointer(start: $0, count: strlen($0))).map { UInt8(bitPattern: $0) } }
    pass(
      ControlLog(
        level: record.level, file: file ?? [], line: record.line,
        text: Array(prefix.utf8) + Array(UnsafeBufferPointer(start: text, count: record.length))))
  }

  /// Sends a record, in as many pieces as packets take.
  private func pass(_ record: ControlLog) {
    let room = ControlMessage.logRoom(beside: record.file)
    var piece = record
    var rest = record.text[...]
    repeat {
      piece.text = Array(rest.prefix(room))
      rest = rest.dropFirst(room)
      // The pieces of a long record stay together and in order, if that takes no longer than the supervisor needs to read them.
      let isSent =
        control.send(.log(piece)) || record.text.count > room && control.hasRoom(within: 1000) && control.send(.log(piece))
      if !isSent { writeOut(piece.text) }
    } while !rest.isEmpty
  }

  /// The supervisor is being replaced, or has much to do: it reads our standard error too, line by line.
  private func writeOut(_ text: [UInt8]) {
    var line: [UInt8] = []
    for byte in text { if byte == 0x0A { line += Array("\\n".utf8) } else { line.append(byte) } }
    line.append(0x0A)
    var done = 0
    while done < line.count {
      let count = line.withUnsafeBytes { Glibc.write(2, $0.baseAddress.map { $0 + done }, line.count - done) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      done += count
    }
  }
}
