import Glibc
import Platform
import WSGICore

/// The standard output and error of a worker, passed on by its relay, and how much of it the log still takes. It outlives the
/// worker: processes that the application started may keep writing to it.
final class WorkerOutput {
  unowned let group: Supervisor.Group
  /// 0: the worker does not exist yet.
  var pid: Int32
  /// The process that passes it on; 0: an earlier supervisor started it.
  let relay: Int32
  /// The socket from the relay; none once it is closed.
  private var socket: Descriptor
  /// Nothing more comes.
  private(set) var isAtEnd = false
  private var lines = LineAssembler()
  var limit = OutputLimit(.process)

  /// Bytes read at a time, so that no process starves another, or the loop.
  private static let share = 65_536

  init(group: Supervisor.Group, pid: Int32, descriptor: Int32, relay: Int32 = 0) {
    self.group = group
    self.pid = pid
    socket = Descriptor(owning: descriptor)
    self.relay = relay
  }

  var descriptor: Int32 { socket.number }

  func closeDescriptor() { socket.close() }

  /// The lines that have come in.
  func readLines() -> [[UInt8]] {
    var found: [[UInt8]] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    var left = Self.share
    while left > 0, descriptor >= 0, !isAtEnd {
      let count = systemCall { recv(descriptor, &chunk, chunk.count, Int32(MSG_DONTWAIT)) }
      if count == -Int(EAGAIN) { break }
      if count <= 0 {
        isAtEnd = true
        lines.finish { found.append($0) }
        break
      }
      lines.add(chunk[0..<count]) { found.append($0) }
      left = left &- count
    }
    return found
  }

  /// The rest of an unfinished line.
  func finishLine() -> [[UInt8]] {
    var found: [[UInt8]] = []
    lines.finish { found.append($0) }
    return found
  }
}

/// Makes lines of the bytes that come from a worker's output. A line that does not end is given in pieces; an empty
/// one is left out, NUL and carriage returns at the end too.
struct LineAssembler {
  private var partial: [UInt8] = []

  /// Takes bytes in, and gives each line that they complete.
  mutating func add(_ bytes: some Sequence<UInt8>, _ emit: ([UInt8]) -> Void) {
    for byte in bytes {
      if byte == 0x0A {
        finish(emit)
      } else {
        partial.append(byte == 0 ? 0x20 : byte)
        if partial.count > LogPieces.limit { emitPieces(emit) }
      }
    }
  }

  /// Gives what no longer has room in one record.
  private mutating func emitPieces(_ emit: ([UInt8]) -> Void) {
    partial = partial.withUnsafeBytes { LogPieces.last(of: $0) { emit(Array($0)) } }
  }

  /// Gives what is there, at the end of the output.
  mutating func finish(_ emit: ([UInt8]) -> Void) {
    while partial.last == 0x0D { partial.removeLast() }
    if !partial.isEmpty { emit(partial) }
    partial.removeAll(keepingCapacity: true)
  }
}
