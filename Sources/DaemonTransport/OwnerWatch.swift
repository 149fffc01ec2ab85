import CPosix
import Glibc
import Platform

/// Notices that no process will answer a request whose channel does not tell, because its httpd child holds both ends of it.
struct OwnerWatch {
  /// How long a request is waited for before it is asked who took it, in milliseconds: most are answered by then.
  static let firstLook: Int64 = 50
  /// How long a request that has left the queue may be noted by no process, before it is given up. A process that takes one of
  /// that age looks whether it was (`ChannelServer.peerHasGone`).
  private static let patience: Int64 = 1000

  enum Found {
    /// There is something to receive.
    case ready
    /// The process that had the request has ended, or no process will find it.
    case gone
    case timedOut
  }

  private let owners: RequestOwners
  private let envelope: QueueEnvelope
  private let queue: Int32

  /// nil: no process could note that it takes the request.
  init?(_ envelope: QueueEnvelope, _ group: GroupQueue) {
    guard envelope.place > 0, let owners = group.owners else { return nil }
    self.owners = owners
    self.envelope = envelope
    queue = group.writeEnd
  }

  /// Waits until `channel` has something, or until no process is left from which it could come; `deadline` is a time of
  /// `Clock.monotonicMilliseconds`.
  ///
  /// A request that is not in the queue any more, and that no process has noted, went down with a process that was taking it, or
  /// with the queue: all others note it at once.
  func wait(_ channel: Int32, until deadline: Int64) -> Found {
    var slice = OwnerWatch.firstLook
    var wasTaken: Int64?
    while true {
      let remaining = deadline &- Clock.monotonicMilliseconds()
      if remaining <= 0 { return .timedOut }
      let taker = owners.taker(of: envelope)
      if taker > 0 {
        wasTaken = nil
        if let found = wait(channel, for: taker, remaining) { return found }
      } else {
        let now = Clock.monotonicMilliseconds()
        if let wasTaken, now &- wasTaken > OwnerWatch.patience { return .gone }
        if wasTaken == nil, wsgi_posix_unread(queue) == 0 { wasTaken = now }
        if waitUntilReady(channel, for: readable, milliseconds: min(slice, remaining)).first != 0 { return .ready }
        slice = min(slice &* 2, OwnerWatch.patience / 2)
      }
    }
  }

  /// nil: nothing happened, or another process has the request now.
  private func wait(_ channel: Int32, for taker: UInt32, _ milliseconds: Int64) -> Found? {
    let pid = pid_t(truncatingIfNeeded: taker)
    let process = Descriptor(owning: wsgi_posix_pidfd(pid))
    let isOver: Bool
    if process.number >= 0 {
      let events = waitUntilReady(channel, for: readable, or: process.number, for: readable, milliseconds: milliseconds)
      if events.first != 0 { return .ready }
      isOver = events.second != 0
    } else {
      isOver = kill(pid, 0) != 0 && errno == ESRCH
      if !isOver, waitUntilReady(channel, for: readable, milliseconds: min(OwnerWatch.patience, milliseconds)).first != 0 {
        return .ready
      }
    }
    return isOver && owners.taker(of: envelope) == taker ? .gone : nil
  }
}
