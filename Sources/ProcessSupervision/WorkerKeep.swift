import CPosix
import Glibc

/// Where a supervisor leaves its ends of its workers' sockets, so that they outlive it: as messages under way in a socket pair of
/// which the parent keeps both ends. The next supervisor finds them there; when the parent is gone as well, they are closed,
/// and the workers see that nobody is left.
public struct WorkerKeep: Sendable {
  /// Both ends, which every process but the parent and its supervisor has to close.
  public let descriptors: (Int32, Int32)

  /// What a worker is reached by.
  struct Ends: Equatable {
    var instance: UInt64
    /// Where orders are sent, reports are read, and the output is read.
    var orders: Int32 = -1
    var reports: Int32 = -1
    var output: Int32 = -1

    var isWhole: Bool { orders >= 0 && reports >= 0 && output >= 0 }

    func closeAll() {
      for descriptor in [orders, reports, output] where descriptor >= 0 { close(descriptor) }
    }
  }

  /// Makes the pair, for so many workers at most.
  public static func make(capacity: Int) -> WorkerKeep? {
    var pair: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutableBytes(of: &pair) { raw in
      guard let start = raw.bindMemory(to: Int32.self).baseAddress else { return -ENOMEM }
      return wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), start)
    }
    guard result == 0 else { return nil }
    // A message counts with the kernel's bookkeeping, about 1 KiB.
    _ = wsgi_posix_send_buffer(pair.0, Int32(clamping: max(capacity, 64) &* 4096))
    return WorkerKeep(descriptors: pair)
  }

  public func closeBoth() {
    close(descriptors.0)
    close(descriptors.1)
  }

  /// Leaves a worker's ends; they stay the caller's too. False: it would not outlive its supervisor.
  func put(_ ends: Ends) -> Bool {
    // Two messages: that is how many descriptors one may carry.
    send(ends.instance, part: 0, [ends.orders]) && send(ends.instance, part: 1, [ends.reports, ends.output])
  }

  private func send(_ instance: UInt64, part: UInt64, _ numbers: [Int32]) -> Bool {
    var words = (instance, part)
    return withUnsafeMutableBytes(of: &words) { bytes in
      var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
      return wsgi_posix_send(descriptors.0, &part, 1, numbers, Int32(numbers.count), Int32(MSG_DONTWAIT)) >= 0
    }
  }

  /// Takes everything out; the descriptors become the caller's.
  func takeAll() -> [Ends] {
    var all: [UInt64: Ends] = [:]
    while true {
      var words: (instance: UInt64, part: UInt64) = (0, 0)
      var received = wsgi_posix_descriptors()
      let count = withUnsafeMutableBytes(of: &words) { bytes in
        bytes.baseAddress.map { wsgi_posix_receive(descriptors.1, $0, bytes.count, Int32(MSG_DONTWAIT), &received) } ?? 0
      }
      if count == -Int(EINTR) { continue }
      guard count > 0 else { break }
      var ends = all[words.instance] ?? Ends(instance: words.instance)
      switch (words.part, received.count) {
      case (0, 1): ends.orders = received.values.0
      case (1, 2): (ends.reports, ends.output) = (received.values.0, received.values.1)
      default: break
      }
      all[words.instance] = ends
    }
    for ends in all.values where !ends.isWhole { ends.closeAll() }
    return all.values.filter(\.isWhole).sorted { $0.instance < $1.instance }
  }

  /// Forgets workers: what is kept of them would keep their pipes open.
  func remove(_ isGone: (UInt64) -> Bool) {
    for ends in takeAll() {
      if !isGone(ends.instance) { _ = put(ends) }
      ends.closeAll()
    }
  }
}
