import CPosix
import Glibc
import Platform
import WSGICore

/// The descriptors of a worker that a preloader is to fork, on their way there: packets in a socket that the order comes with.
/// Nothing travels back.
public enum ForkOrder {
  /// Where the descriptors of a packet belong in the worker, in the order in which they are sent. Its standard input is the
  /// preloader's.
  private static let places: [[Int32]] = [
    [STDERR_FILENO, WorkerDescriptor.settings.rawValue],
    [WorkerDescriptor.queue.rawValue, WorkerDescriptor.orders.rawValue],
    [WorkerDescriptor.reports.rawValue, WorkerDescriptor.shared.rawValue],
    [WorkerDescriptor.activity.rawValue, WorkerDescriptor.sessions.rawValue],
  ]

  /// Descriptors that are moved out of the way of the fixed numbers start here.
  private static let aside: Int32 = 64

  /// A socket that holds the descriptors, which `descriptors` has by their numbers in the worker, or a negated errno value.
  static func pack(_ descriptors: [Int32]) -> Int32 {
    var pair: [Int32] = [-1, -1]
    let result = wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &pair)
    guard result == 0 else { return result }
    // No process would receive what the preloader sent here, and the supervisor would have to close it.
    shutdown(pair[0], Int32(SHUT_RD))
    defer { close(pair[0]) }
    for places in places {
      var byte: UInt8 = 0
      let sent = places.map { descriptors[Int($0)] }
      let count = withUnsafeMutableBytes(of: &byte) { bytes in
        var part = iovec(iov_base: bytes.baseAddress, iov_len: 1)
        return wsgi_posix_send(pair[0], &part, 1, sent, Int32(sent.count), Int32(MSG_DONTWAIT))
      }
      if count < 0 {
        close(pair[1])
        return Int32(clamping: count)
      }
    }
    return pair[1]
  }

  /// Takes the descriptors out of the socket, which is closed, and puts them in their places in this process, which has just been
  /// forked. False: some are missing.
  public static func unpack(_ socket: Int32) -> Bool {
    var moved: [(place: Int32, descriptor: Int32)] = []
    for places in places {
      var byte: UInt8 = 0
      var received = wsgi_posix_descriptors()
      let count = wsgi_posix_receive(socket, &byte, 1, Int32(MSG_DONTWAIT), &received)
      guard count == 1, received.refused == 0, received.count == places.count else { return false }
      let values = [received.values.0, received.values.1]
      for (place, descriptor) in zip(places, values) {
        moved.append((place, fcntl(descriptor, F_DUPFD_CLOEXEC, aside)))
        close(descriptor)
      }
    }
    close(socket)
    return moved.allSatisfy { place, descriptor in
      guard descriptor >= 0, dup2(descriptor, place) == place else { return false }
      close(descriptor)
      // As in a worker that was executed: programs have the standard descriptors only.
      return place == STDERR_FILENO ? dup2(place, STDOUT_FILENO) >= 0 : wsgi_posix_close_on_exec(place) == 0
    }
  }
}
