import Glibc

/// The descriptors of a group that is made on demand; -1: not had yet.
public struct GroupFiles: Equatable, Sendable {
  /// In the supervisor alone.
  public var readEnd: Int32 = -1
  public var writeEnd: Int32 = -1
  /// Where workers note which request they took.
  public var owners: Int32 = -1
  /// The file of the group's `WorkerScoreboard`.
  public var activity: Int32 = -1
  /// The descriptor that keeps the queues of its session slots (`SessionQueues`), where it has such.
  public var sessions: Int32 = -1

  public init(readEnd: Int32 = -1, writeEnd: Int32 = -1, owners: Int32 = -1, activity: Int32 = -1, sessions: Int32 = -1) {
    self.readEnd = readEnd
    self.writeEnd = writeEnd
    self.owners = owners
    self.activity = activity
    self.sessions = sessions
  }

  /// Sessions can be done without.
  var isWhole: Bool { readEnd >= 0 && writeEnd >= 0 && owners >= 0 && activity >= 0 }

  public func closeAll() {
    for descriptor in [readEnd, writeEnd, owners, activity, sessions] where descriptor >= 0 { close(descriptor) }
  }
}
