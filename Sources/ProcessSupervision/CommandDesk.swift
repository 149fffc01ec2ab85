import CPosix
import Glibc
import Platform
import WSGICore

/// The clients of the control socket. They are bounded in number, each user's and all together, and so is the time that they
/// take: a client that stalls, floods or lies has its connection dropped, and nobody waits for it. Times in microseconds of the
/// monotonic clock.
struct CommandDesk {
  /// -1: there is no control socket.
  let listener: Int32
  var connections: [CommandConnection] = []
  /// Sockets with descriptors in them, which this process does not close: that may take for ever.
  var refuse: [Int32] = []
  /// Processes that close such sockets.
  var discards: [Int32] = []
  /// New connections, and processes that close some, a second.
  var arrivals = StartRate(perSecond: 500)
  var discarding = StartRate(perSecond: 4)
  /// The listener is not watched until then.
  var pausedUntil: Int64 = 0
  /// When the log may say again that a client is hostile.
  var nextComplaint: Int64 = 0

  /// Of one user, but for root; of all users but root; with root's. What root has is not counted against others.
  private static let mostOfUser = 8
  private static let most = 56
  private static let mostWithRoot = 72
  /// When so many wait to be closed, no further connection is accepted.
  static let mostRefuse = 256
  static let mostDiscards = 8

  init(listener: Int32) { self.listener = listener }

  func hasRoom(for user: UInt32) -> Bool {
    guard user != 0 else { return connections.count < Self.mostWithRoot }
    return connections.count < Self.most && connections.count { $0.user == user } < Self.mostOfUser
  }

  /// When something is to be done that no descriptor announces.
  var due: Int64 {
    var due = connections.map(\.deadline).min() ?? .max
    if pausedUntil > 0 { due = min(due, pausedUntil) }
    if !refuse.isEmpty { due = min(due, max(discarding.next, nextDiscard)) }
    return due
  }

  /// When it is to be looked again whether a process that closes sockets has ended.
  var nextDiscard: Int64 = 0
}

/// A process that only ends, and with it what it was given: sockets with descriptors in them, which hold up whoever closes them
/// for as long as their sender likes. It has no privileges, and nobody waits for it.
public enum Discard {
  private static let option = "--discard"
  private static let first = 3
  static let most = Int(WSGI_POSIX_LAST_DESCRIPTOR) + 1 - first

  /// Whether this process was started to be one.
  public static var isThisProcess: Bool { CommandLine.arguments.elementsEqual([Relay.processName, option]) }

  static var arguments: [[UInt8]] { [Relay.processName, option].map { Array($0.utf8) } }

  static func descriptors(_ sockets: ArraySlice<Int32>, null: Int32) -> [Int32] {
    let given = [Int32](repeating: null, count: first) + sockets
    return given + [Int32](repeating: null, count: max(0, first + most - given.count))
  }

  public static func run() -> Never {
    // Had it kept its user, it would end all the same.
    _ = Relay.becomeNobody()
    _exit(0)
  }
}
