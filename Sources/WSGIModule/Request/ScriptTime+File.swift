import Glibc
import WSGICore

extension ScriptTime {
  /// The file's current time, following links.
  static func now(_ path: UnsafePointer<CChar>) -> Int64 {
    var about = stat()
    guard stat(path, &about) == 0 else { return unknown }
    let (seconds, overflow) = Int64(about.st_mtim.tv_sec).multipliedReportingOverflow(by: 1_000_000)
    return overflow ? unknown : seconds &+ Int64(about.st_mtim.tv_nsec / 1000)
  }
}
