import CPosix
import Glibc

/// The queues of a group's session slots: a queue for each process that the group may have, which outlives every process that
/// takes requests from it.
///
/// All of their ends lie in one message in a socket, of which a single descriptor keeps them open. Those who need one copy it
/// from there and take nothing out: a child of httpd the write ends, a supervisor the read end that it gives to a worker. So a
/// group whose sessions stay with processes costs the parent and its supervisor a descriptor, and other groups nothing.
public enum SessionQueues {
  /// The most slots of a group: so many pairs of descriptors fit into a message.
  public static let mostSlots = Int(WSGI_POSIX_MOST_KEPT) / 2

  /// Keeps queues, whose ends it takes over. The descriptor is the caller's; -1: errno says why not.
  public static func keep(_ queues: [RenewableQueue.Ends]) -> Int32 {
    var pair: [Int32] = [-1, -1]
    let numbers = queues.flatMap { [$0.write, $0.read] }
    defer { for number in numbers + [pair[0]] where number >= 0 { close(number) } }
    var result = wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &pair)
    if result == 0 { result = wsgi_posix_keep_descriptors(pair[0], numbers, Int32(clamping: numbers.count)) }
    guard result == 0 else {
      if pair[1] >= 0 { close(pair[1]) }
      errno = -result
      return -1
    }
    return pair[1]
  }

  /// The write ends of kept queues, by their slots, which become the caller's; none where descriptors are short.
  public static func writeEnds(kept: Int32) -> [Int32] { copy(kept) { $0 % 2 == 0 } }

  /// The read end of a slot's queue, which becomes the caller's; -1: there is none.
  static func readEnd(of slot: Int, kept: Int32) -> Int32 {
    guard kept >= 0, slot >= 0 else { return -1 }
    return copy(kept) { $0 == 2 &* slot &+ 1 }.first ?? -1
  }

  private static func copy(_ kept: Int32, where isWanted: (Int) -> Bool) -> [Int32] {
    guard kept >= 0 else { return [] }
    var numbers = [Int32](repeating: -1, count: Int(WSGI_POSIX_MOST_KEPT))
    let count = wsgi_posix_copy_kept_descriptors(kept, &numbers, Int32(numbers.count))
    var wanted: [Int32] = []
    for index in 0..<Int(max(count, 0)) {
      if isWanted(index) { wanted.append(numbers[index]) } else { close(numbers[index]) }
    }
    return wanted
  }
}
