import Glibc
import WSGICore

extension ScriptTime {
  /// The file's current time, following links.
  static func now(_ path: UnsafeRawBufferPointer) -> Int64 {
    withUnsafeTemporaryAllocation(byteCount: path.count + 1, alignment: 1) { text in
      text.copyMemory(from: path)
      text[path.count] = 0
      var about = stat()
      guard let start = text.baseAddress, stat(start.assumingMemoryBound(to: CChar.self), &about) == 0 else { return unknown }
      let (seconds, overflow) = Int64(about.st_mtim.tv_sec).multipliedReportingOverflow(by: 1_000_000)
      return overflow ? unknown : seconds &+ Int64(about.st_mtim.tv_nsec / 1000)
    }
  }
}
