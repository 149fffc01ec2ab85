import CPosix
import Glibc
import Platform
import RequestCounting

/// Both ends of a channel in an httpd child.
///
/// A channel is a pair of sockets: a pipe is locked while a writer copies into it, and a process that never finishes that copy
/// would keep the reader, a thread of httpd's, for good. To make a pair and to close it costs more than all that a short request
/// does with it. So where `OwnerWatch` notices that a process died, the pair of a request that ended as it should serves the
/// thread's next one, of the same process group: another group's processes could still hold the far end.
struct ChannelPair: ~Copyable {
  let near: Descriptor
  private(set) var far: Descriptor
  /// The index of the only group that it serves.
  let group: Int

  /// `isKept`: it is for requests that are watched.
  init(_ kind: ChannelKind, isKept: Bool, for group: GroupQueue) throws(QueueFailure) {
    var ends: [Int32] = [-1, -1]
    let made = wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends)
    near = Descriptor(owning: ends[0])
    far = Descriptor(owning: ends[1])
    self.group = group.row.slot
    guard made == 0 else { throw QueueFailure(errno: -made) }
    // SO_RCVTIMEO rather than poll: one cheap call rather than one more wait.
    let timeout = isKept ? OwnerWatch.firstLook : group.socketTimeout
    if timeout > 0 { _ = wsgi_posix_receive_timeout(ends[0], timeout) }
    if kind == .plain || !group.acceptsDescriptors { wsgi_posix_refuse_descriptors(ends[0]) }
    // The kernel counts what lies in a channel against the end that wrote it.
    if group.sendBuffer > 0 { _ = wsgi_posix_send_buffer(ends[1], group.sendBuffer) }
    if group.receiveBuffer > 0, kind == .socket { _ = wsgi_posix_send_buffer(ends[0], group.receiveBuffer) }
  }

  /// Leaves the worker's as the only far end, so that its death ends the channel.
  mutating func closeFar() { far.close() }
}
