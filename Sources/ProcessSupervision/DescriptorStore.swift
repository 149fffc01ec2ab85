import CPosix
import Glibc

/// Where a supervisor leaves its ends of its workers' sockets, so that they outlive it: as messages under way in a socket pair of
/// which the parent keeps both ends. The next supervisor finds them there; when the parent is gone as well, they are closed, and
/// the workers see that no supervisor will follow.
public struct DescriptorStore: Sendable {
  /// Both ends, which every process but the parent and its supervisor has to close.
  public let descriptors: (Int32, Int32)

  /// The descriptors that reach a worker.
  struct Ends: Equatable {
    var instance: UInt64
    /// Where orders are sent, and where the relay passes on reports and output.
    var orders: Int32 = -1
    var reports: Int32 = -1
    var output: Int32 = -1

    var isWhole: Bool { orders >= 0 && reports >= 0 && output >= 0 }

    func closeAll() {
      for descriptor in [orders, reports, output] where descriptor >= 0 { close(descriptor) }
    }
  }

  /// Makes the pair, for at most `capacity` workers.
  public static func make(capacity: Int) -> DescriptorStore? {
    var pair: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutableBytes(of: &pair) { raw in
      guard let start = raw.bindMemory(to: Int32.self).baseAddress else { return -ENOMEM }
      return wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), start)
    }
    guard result == 0 else { return nil }
    // A message counts with the kernel's bookkeeping, about 1 KiB.
    _ = wsgi_posix_send_buffer(pair.0, Int32(clamping: max(capacity, 64) &* 4096))
    return DescriptorStore(descriptors: pair)
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

  /// Copies of the kept descriptors, which become the caller's. The store keeps its own all the time: the caller may be killed at
  /// any moment.
  func copies() -> [Ends] {
    var all: [UInt64: Ends] = [:]
    for message in messages() { Self.add(message, to: &all) }
    for ends in all.values where !ends.isWhole { ends.closeAll() }
    return all.values.filter(\.isWhole).sorted { $0.instance < $1.instance }
  }

  private func messages() -> [Message] {
    var offset: Int32 = 0
    guard setsockopt(descriptors.1, SOL_SOCKET, SO_PEEK_OFF, &offset, socklen_t(MemoryLayout<Int32>.size)) == 0 else { return [] }
    var all: [Message] = []
    while let message = receive(Int32(MSG_PEEK)) { all.append(message) }
    return all
  }

  /// Leaves the descriptors of the group in a place, as `put` does those of a worker. A store has either.
  func put(_ files: GroupFiles, of place: Int) -> Bool {
    send(UInt64(place), part: 0, [files.readEnd, files.writeEnd]) && send(UInt64(place), part: 1, [files.owners, files.activity])
  }

  /// Copies of the kept descriptors of groups, by their places.
  func groupFiles() -> [Int: GroupFiles] {
    var all: [Int: GroupFiles] = [:]
    for message in messages() {
      let place = Int(message.key.instance)
      guard message.numbers.count == 2 else { continue }
      if message.key.part == 0 {
        (all[place, default: .init()].readEnd, all[place, default: .init()].writeEnd) = (message.numbers[0], message.numbers[1])
      } else {
        (all[place, default: .init()].owners, all[place, default: .init()].activity) = (message.numbers[0], message.numbers[1])
      }
    }
    for files in all.values where !files.isWhole { files.closeAll() }
    return all.filter { $0.value.isWhole }
  }

  /// Forgets workers: what is kept of them would keep their sockets open. Each message is taken out once, and put back behind the
  /// others at once: a supervisor that is killed here loses one worker at most.
  func remove(_ isGone: (UInt64) -> Bool) {
    var first: (instance: UInt64, part: UInt64)?
    while let message = receive(0) {
      let isSecondTurn = first.map { $0 == message.key } ?? false
      if !isGone(message.key.instance) {
        send(message.key.instance, part: message.key.part, message.numbers)
        first = first ?? message.key
      }
      for number in message.numbers { close(number) }
      if isSecondTurn { return }
    }
  }

  private static func add(_ message: Message, to all: inout [UInt64: Ends]) {
    var ends = all[message.key.instance] ?? Ends(instance: message.key.instance)
    switch (message.key.part, message.numbers.count) {
    case (0, 1) where ends.orders < 0: ends.orders = message.numbers[0]
    case (1, 2) where ends.reports < 0: (ends.reports, ends.output) = (message.numbers[0], message.numbers[1])
    default: for number in message.numbers { close(number) }
    }
    all[message.key.instance] = ends
  }

  private struct Message {
    var key: (instance: UInt64, part: UInt64)
    var numbers: [Int32]
  }

  @discardableResult
  private func send(_ instance: UInt64, part: UInt64, _ numbers: [Int32]) -> Bool {
    var words = (instance, part)
    return withUnsafeMutableBytes(of: &words) { bytes in
      var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
      return wsgi_posix_send(descriptors.0, &part, 1, numbers, Int32(numbers.count), Int32(MSG_DONTWAIT)) >= 0
    }
  }

  private func receive(_ flags: Int32) -> Message? {
    var words: (instance: UInt64, part: UInt64) = (0, 0)
    var received = wsgi_posix_descriptors()
    let count = withUnsafeMutableBytes(of: &words) { bytes in
      bytes.baseAddress.map { wsgi_posix_receive(descriptors.1, $0, bytes.count, flags | Int32(MSG_DONTWAIT), &received) } ?? 0
    }
    guard count > 0 else { return nil }
    let numbers = [received.values.0, received.values.1].prefix(Int(max(received.count, 0)))
    return Message(key: words, numbers: Array(numbers))
  }
}
