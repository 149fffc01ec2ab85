import CPosix
import Glibc
import Platform

/// The queues that a worker takes requests from whose group keeps sessions with processes: that of its session slot beside the
/// group's. One per thread.
///
/// They take turns where both have requests: neither those whose sessions are here nor those that any process may take wait for
/// all of the others.
public struct SessionReader: ~Copyable {
  private var slot: Int32
  private let group: Int32
  private let owners: RequestOwners
  private let processID: UInt32
  private var prefersSlot = true

  /// For the queues of a slot and of its group.
  public init(slot: Int32, group: Int32, owners: RequestOwners, processID: UInt32) {
    self.slot = slot
    self.group = group
    self.owners = owners
    self.processID = processID
  }

  /// As `QueueReader.receive`, from either of the queues, or from another one that was handed over. What httpd's child has taken
  /// back is dropped unread.
  public mutating func receive(from queue: Int32, _ reader: inout QueueReader) -> QueueReader.Received {
    guard queue == group else { return reader.receive(from: queue) }
    while true {
      let ready = prefersSlot ? wsgi_posix_await_either(slot, queue) : wsgi_posix_await_either(queue, slot)
      if ready < 0 { return -ready == EINTR ? .interrupted : .failed(errno: -ready) }
      let received = reader.receive(from: ready, flags: Int32(MSG_DONTWAIT))
      prefersSlot = ready == queue
      // Another thread, or another process, was faster.
      if case .failed(EAGAIN) = received { continue }
      guard ready == slot else { return received }
      switch received {
      case .request(let channel, let envelope):
        if envelope.flags.contains(.revocable), owners.claim(envelope, pid: processID) { return received }
        close(channel)
      case .malformed: return received
      // A process of the group has shut it down: sessions are with the group's queue from now on.
      case .ended, .failed: slot = -1
      case .interrupted: return received
      }
    }
  }
}
