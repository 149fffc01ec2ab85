import CPosix
import Glibc

/// Where a supervisor leaves its ends of its workers' sockets, so that they outlive it: as messages under way in socket pairs of
/// which the parent keeps both ends. The next supervisor finds them there; when the parent is gone as well, they are closed, and
/// the workers see that no supervisor will follow.
///
/// A message can only be taken out of a pair after those before it. So there are several pairs, and what is to be forgotten moves
/// no more messages than are in one of them.
public struct DescriptorStore: Sendable {
  private typealias Pair = (give: Int32, take: Int32)

  /// Every process but the parent and its supervisor has to close them.
  private let pairs: [Pair]

  private static let workersInPair = 64
  private static let mostPairs = 64

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

  /// Makes room for at most `capacity` workers.
  public static func make(capacity: Int) -> DescriptorStore? {
    let count = min(max(capacity / workersInPair, 1), mostPairs)
    var pairs: [Pair] = []
    while pairs.count < count {
      var ends: [Int32] = [-1, -1]
      guard wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends) == 0 else {
        DescriptorStore(pairs: pairs).closeAll()
        return nil
      }
      // A message counts with the kernel's bookkeeping, about 1 KiB.
      _ = wsgi_posix_send_buffer(ends[0], Int32(clamping: max(capacity / count &+ 1, 64) &* 4096))
      pairs.append((ends[0], ends[1]))
    }
    return DescriptorStore(pairs: pairs)
  }

  public func closeAll() {
    for pair in pairs {
      close(pair.give)
      close(pair.take)
    }
  }

  private func pair(of instance: UInt64) -> Pair { pairs[Int(instance % UInt64(pairs.count))] }

  /// Leaves a worker's ends; they stay the caller's too. False: it would not outlive its supervisor.
  func put(_ ends: Ends) -> Bool {
    // Two messages: that is how many descriptors one may carry.
    send(ends.instance, part: 0, [ends.orders]) && send(ends.instance, part: 1, [ends.reports, ends.output])
  }

  /// Copies of the kept descriptors, which become the caller's. The store keeps its own all the time: the caller may be killed at
  /// any moment.
  func copies() -> [Ends] {
    var all: [UInt64: Ends] = [:]
    for message in pairs.flatMap(messages) { Self.add(message, to: &all) }
    for ends in all.values where !ends.isWhole { ends.closeAll() }
    return all.values.filter(\.isWhole).sorted { $0.instance < $1.instance }
  }

  private func messages(_ pair: Pair) -> [Message] {
    var offset: Int32 = 0
    guard setsockopt(pair.take, SOL_SOCKET, SO_PEEK_OFF, &offset, socklen_t(MemoryLayout<Int32>.size)) == 0 else { return [] }
    var all: [Message] = []
    while let message = receive(pair, Int32(MSG_PEEK)) { all.append(message) }
    return all
  }

  /// Leaves the descriptors of the group in a place, as `put` does those of a worker. A store has either.
  func put(_ files: GroupFiles, of place: Int) -> Bool {
    send(UInt64(place), part: 0, [files.readEnd, files.writeEnd])
      && send(UInt64(place), part: 1, [files.owners, files.activity])
      && (files.sessions < 0 || send(UInt64(place), part: 2, [files.sessions]))
  }

  /// Copies of the kept descriptors of groups, by their places.
  func groupFiles() -> [Int: GroupFiles] {
    var all: [Int: GroupFiles] = [:]
    for message in pairs.flatMap(messages) {
      let place = Int(message.key.instance)
      let numbers = message.numbers
      switch (message.key.part, numbers.count) {
      case (0, 2): (all[place, default: .init()].readEnd, all[place, default: .init()].writeEnd) = (numbers[0], numbers[1])
      case (1, 2): (all[place, default: .init()].owners, all[place, default: .init()].activity) = (numbers[0], numbers[1])
      case (2, 1): all[place, default: .init()].sessions = numbers[0]
      default: for number in numbers { close(number) }
      }
    }
    for files in all.values where !files.isWhole { files.closeAll() }
    return all.filter { $0.value.isWhole }
  }

  /// Forgets a worker, or a group: what is kept would keep sockets open.
  func remove(_ instance: UInt64) { remove(from: pair(of: instance)) { $0 == instance } }

  /// Forgets all workers but these.
  func keep(_ living: Set<UInt64>) {
    for pair in pairs { remove(from: pair) { !living.contains($0) } }
  }

  /// Each message is taken out once, and put back behind the others at once: a supervisor that is killed here loses one worker at
  /// most.
  private func remove(from pair: Pair, _ isGone: (UInt64) -> Bool) {
    var first: (instance: UInt64, part: UInt64)?
    while let message = receive(pair, 0) {
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
      return wsgi_posix_send(pair(of: instance).give, &part, 1, numbers, Int32(numbers.count), Int32(MSG_DONTWAIT)) >= 0
    }
  }

  private func receive(_ pair: Pair, _ flags: Int32) -> Message? {
    var words: (instance: UInt64, part: UInt64) = (0, 0)
    var received = wsgi_posix_descriptors()
    let count = withUnsafeMutableBytes(of: &words) { bytes in
      bytes.baseAddress.map { wsgi_posix_receive(pair.take, $0, bytes.count, flags | Int32(MSG_DONTWAIT), &received) } ?? 0
    }
    guard count > 0 else { return nil }
    let numbers = [received.values.0, received.values.1].prefix(Int(max(received.count, 0)))
    return Message(key: words, numbers: Array(numbers))
  }
}
