import CPosix
import Glibc
import Platform
import WSGICore

/// Descriptors that a worker inherits, beside stdin (`/dev/null`), stdout and stderr (both to the supervisor).
public enum WorkerDescriptor: Int32, CaseIterable, Sendable {
  case settings = 3
  case queue
  case orders
  case reports
  /// A file that the group's workers share, or /dev/null.
  case shared
  /// The file of the group's `WorkerScoreboard`, or /dev/null.
  case activity
  /// The read end of its session slot's queue, or /dev/null.
  case sessions

  /// All descriptors of a new process, by number.
  static func list(input: Int32, output: Int32, _ descriptor: (WorkerDescriptor) -> Int32) -> [Int32] {
    [input, output, output] + allCases.map(descriptor)
  }
}

extension WorkerSettings {
  /// A sealed file of the settings, for a worker to read, or a negated errno value.
  func makeFile() -> Int32 {
    let file = encoded().withUnsafeBytes { raw in raw.baseAddress.map { wsgi_posix_sealed_file($0, raw.count) } ?? -EINVAL }
    if file >= 0 { lseek(file, 0, SEEK_SET) }
    return file
  }

  /// Reads the settings that this process was started with, whole or not at all. `bytes` goes to the engine as it is.
  public static func read() -> (settings: WorkerSettings, bytes: [UInt8])? {
    let descriptor = WorkerDescriptor.settings.rawValue
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = systemCall { Glibc.read(descriptor, &chunk, chunk.count) }
      guard count >= 0 else { return nil }
      if count == 0 { break }
      bytes.append(contentsOf: chunk[0..<count])
    }
    close(descriptor)
    return WorkerSettings(decoding: bytes).map { ($0, bytes) }
  }
}
