import CPosix
import Glibc
import Platform
import RequestCounting

extension ChildSeat {
  /// Counts a request in as `enter` does. Where too many are in flight but requests of the group end all the time, there will
  /// be room in no time: that is waited for, since a refusal would cost everybody more. A group that is held up has its refusal
  /// at once, and keeps no thread of httpd's from others.
  @inline(__always)
  func enterWithPatience(_ row: RequestBook.Row, limit: Int, queue: Int32 = -1) -> Crowding? {
    if givenUp(row) > 0 { forgetGivenUp(row, beyond: Int(max(0, wsgi_posix_unread(queue))) / ChildSeat.leastMessage) }
    return enter(row, limit: limit).flatMap { wait(after: $0, row, limit: limit) }
  }

  @inline(never)
  private func wait(after crowding: Crowding, _ row: RequestBook.Row, limit: Int) -> Crowding? {
    let pace = pace(row)
    let crowd = crowding == .queueLimit ? limit : pace.inFlightNow
    guard pace.isQuick(limit: crowd) else { return crowding }
    let start = Clock.monotonicMicroseconds()
    while true {
      usleep(500)
      guard let crowding = enter(row, limit: limit) else { return nil }
      if !pace.mayWait(since: start, now: Clock.monotonicMicroseconds()) { return crowding }
    }
  }

  /// The least room that a message takes in a queue, with the kernel's bookkeeping.
  private static let leastMessage = 512
}
