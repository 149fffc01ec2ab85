import CPosix
import Glibc

/// The pipe that a worker's standard output and error lead to, and how much of it still goes into the log. It outlives the
/// worker: processes that the application started may go on writing to it.
final class WorkerOutput {
  let group: Int
  let pid: Int32
  /// The read end, non-blocking; -1: at its end.
  private(set) var descriptor: Int32
  private var lines = LineAssembler()
  private var limit: RateLimit

  /// What is read at a time: neither may one process be starved by another, nor the loop by one.
  private static let share = 65_536

  init(group: Int, pid: Int32, descriptor: Int32) {
    self.group = group
    self.pid = pid
    self.descriptor = descriptor
    limit = RateLimit(now: wsgi_posix_monotonic())
  }

  deinit { closeDescriptor() }

  func closeDescriptor() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
  }

  /// The lines that have come in, and may pass.
  func readLines() -> [[UInt8]] {
    var found: [[UInt8]] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    var left = Self.share
    while left > 0, descriptor >= 0 {
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN { break }
      if count <= 0 {
        closeDescriptor()
        lines.finish { found.append($0) }
        break
      }
      lines.add(chunk[0..<count]) { found.append($0) }
      left = left &- count
    }
    return found.filter { _ in mayPass() }
  }

  /// What is left of a line that has no end.
  func finishLine() -> [[UInt8]] {
    var found: [[UInt8]] = []
    lines.finish { found.append($0) }
    return found
  }

  /// Whether one more line of the process, from wherever it comes, goes into the log.
  func mayPass() -> Bool { limit.take(now: wsgi_posix_monotonic()) }

  /// How many did not, since this was last asked.
  func takeSuppressed() -> Int { limit.takeSuppressed() }
}
