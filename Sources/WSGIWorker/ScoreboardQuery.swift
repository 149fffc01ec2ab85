import CPosix
import Glibc
import Platform
import ProcessSupervision
import Synchronization

/// Asks the supervisor for httpd's scoreboard, for `mod_wsgi.server_metrics()`.
final class ScoreboardQuery: Sendable {
  private let channel: ControlChannel
  private let isOffered: Bool
  /// The last answer's ticket, and its pairs.
  private let answer = Mutex<(ticket: UInt64, pairs: [UInt8])>((0, []))
  private let tickets = Atomic<UInt64>(0)
  private let answered = Wakeup()

  private static let limit: Int64 = 64 << 20

  init(_ channel: ControlChannel, isOffered: Bool) {
    self.channel = channel
    self.isOffered = isOffered
  }

  /// The scoreboard as pairs; empty where there is none, or the supervisor does not answer within a second.
  func ask() -> [UInt8] {
    guard isOffered else { return [] }
    let ticket = tickets.wrappingAdd(1, ordering: .relaxed).newValue
    let deadline = Clock.monotonicMilliseconds() &+ 1000
    guard channel.send(.metricsWanted(ticket: ticket)) else { return [] }
    while true {
      let seen = answered.value
      let (last, pairs) = answer.withLock { $0 }
      if last == ticket { return pairs }
      let remaining = deadline &- Clock.monotonicMilliseconds()
      // The answer to a later question is as good.
      if last > ticket { return pairs }
      guard remaining > 0 else { return [] }
      answered.wait(while: seen, milliseconds: remaining)
    }
  }

  /// The supervisor's answer: a sealed file, which is now ours, or -1.
  func answer(_ ticket: UInt64, _ file: Int32) {
    var pairs: [UInt8] = []
    if file >= 0 {
      let size = wsgi_posix_sealed_size(file)
      if size > 0, size <= ScoreboardQuery.limit {
        pairs = [UInt8](repeating: 0, count: Int(size))
        if pread(file, &pairs, pairs.count, 0) != pairs.count { pairs = [] }
      }
      close(file)
    }
    answer.withLock { $0 = (ticket, pairs) }
    answered.add(1)
  }
}
