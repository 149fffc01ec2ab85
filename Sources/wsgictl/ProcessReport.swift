import Glibc
import Platform

/// The answer of a process, to which the supervisor has given the other end of a socket. The process may be anybody's.
struct ProcessReport {
  private(set) var bytes: [UInt8] = []
  /// The process has closed its end, or has written all that it may.
  private(set) var isWhole = true

  private static let limit = 8 << 20

  /// `milliseconds`: how long the process may take over a part of it.
  init(reading socket: Int32, milliseconds: Int64) {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while bytes.count < Self.limit {
      guard waitUntilReady(socket, for: readable, milliseconds: milliseconds).first != 0 else {
        isWhole = false
        return
      }
      let count = systemCall { recv(socket, &buffer, buffer.count, 0) }
      guard count > 0 else { return }
      bytes += buffer[..<count]
    }
  }
}
