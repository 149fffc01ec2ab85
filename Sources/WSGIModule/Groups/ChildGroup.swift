import DaemonTransport
import Platform
import ProcessSupervision
import RequestCounting
import WSGIConfig
import WSGICore

/// A process group in an httpd child: its configuration, its row in the book, its queue and its processes' scoreboards.
///
/// Those of the configuration are made in the parent before any child; they are constant, and used on all threads of the
/// children. Memory shared with other processes is found by its slot, so that a child can make one for a group that comes later.
final class ChildGroup: Sendable {
  let config: GroupConfig
  /// The configuration's: to ask it for that would copy it, for every request.
  let changedRoot: ChangedRoot?
  /// A template whose groups have preloaders.
  let preloadsTenants: Bool
  let row: RequestBook.Row
  /// nil: the group could not be started, and the log has said why; or it serves no requests.
  let queue: GroupQueue?
  /// The queue is made on demand: `queue` has its limits only, and `QueuesOnDemand` the rest.
  var isOnDemand: Bool { queue.map { $0.writeEnd < 0 } ?? false }
  /// Its place in the configuration: the book's first row is that of embedded mode.
  var place: Int { row.slot &- 1 }
  /// How the group stands, as its supervisor says.
  let scoreboard: GroupScoreboard?
  /// Where sessions stay with processes; those of a group that is made on demand come with its queue.
  let sessions: SessionSlots?
  /// Its requests go another way than straight into its queue: it is a template, or sessions stay with its processes.
  let isSpecial: Bool
  /// The activity of each of its threads; nil if there are none, or no memory for it.
  private let workers: WorkerScoreboard?
  /// Says which refusals are logged.
  let refusals = RefusalPace()

  init(
    _ config: GroupConfig, _ row: RequestBook.Row, queue: GroupQueue? = nil, scoreboard: GroupScoreboard? = nil,
    workers: WorkerScoreboard? = nil, sessions: SessionSlots? = nil
  ) {
    self.config = config
    changedRoot = config.changedRoot
    preloadsTenants = config.preloads && config.template != nil
    self.row = row
    self.queue = queue
    self.scoreboard = scoreboard
    self.workers = workers
    self.sessions = sessions
    isSpecial = config.template != nil || config.stickySessions != nil
  }

  var name: String { config.name.description }

  /// Gives back the memory that was mapped for it. It must not be used afterwards.
  func unmap() {
    queue?.owners?.unmap()
    workers?.unmap()
    sessions?.close()
  }

  // MARK: its processes

  /// Whether the group has a process that takes requests.
  var isServed: Bool { !isStarting || scoreboard?.state.isServed == true }

  /// A command has stopped it.
  @inline(__always)
  var isHalted: Bool { scoreboard?.isHalted ?? false }

  /// Whether that is only because its first one starts.
  var isStarting: Bool { scoreboard.map { $0.ready == 0 } ?? true }

  /// The activity of a process's threads, as it reports it; nil: unknown.
  func activity(of process: GroupScoreboard.Process, _ held: QueuesOnDemand.Held? = nil) -> WorkerScoreboard.Activity? {
    process.state == .starting || process.state == .candidate ? nil : (held?.workers ?? workers)?.activity(ofSlot: process.slot)
  }

  /// The notice of the engines in the group's processes.
  func notice(_ held: QueuesOnDemand.Held?) -> EngineNotice? { (held?.workers ?? workers)?.notice }

  /// How a process of the group has just ended; nil where that is not known (yet). Without a `pid` (0) the process is the one of
  /// which the group was bereft this moment.
  func end(of pid: UInt32) -> ProcessEnd? {
    let isNamed = pid != 0
    let recent = Clock.epochMicroseconds() &- (isNamed ? ChildGroup.causeAge : ChildGroup.namelessAge)
    let end = scoreboard?.end(
      pid: isNamed ? Int32(truncatingIfNeeded: pid) : nil, since: recent,
      waiting: isNamed ? ChildGroup.causePatience : ChildGroup.namelessPatience)
    return end.map {
      ProcessEnd(
        pid: UInt32(truncatingIfNeeded: $0.pid), sentence: $0.sentence,
        isTimeout: [.requestTimeout, .startupTimeout, .deadlockTimeout].contains($0.reason))
    }
  }

  /// A process that ended longer ago (in microseconds) was another one with the same number.
  private static let causeAge: Int64 = 60_000_000
  /// Where it is not known which process it was: its channel closes when it ends, and the supervisor hears of it a moment later.
  private static let namelessAge: Int64 = 200_000
  /// How long the supervisor may need to find out, in milliseconds. It waits for what the process said last, for half a second at
  /// the most, and may have other things to do on a busy machine; the answer and the log depend on it.
  private static let causePatience = 3_000
  private static let namelessPatience = 500
}
