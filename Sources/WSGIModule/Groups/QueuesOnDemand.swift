import DaemonTransport
import Glibc
import Platform
import ProcessSupervision
import Synchronization
import WSGIConfig
import WSGICore

/// The queues of groups made on demand that an httpd child holds: those that it used last. Any thread may use it.
final class QueuesOnDemand: Sendable {
  /// One group's; a request that runs keeps it, whatever becomes of the child's list.
  final class Held: Sendable {
    let queue: GroupQueue
    let workers: WorkerScoreboard?
    /// When it was last wanted, in milliseconds of the monotonic clock.
    fileprivate let used = Atomic<Int64>(0)

    fileprivate init(_ files: GroupFiles, _ group: ChildGroup, _ queue: GroupQueue, threads: Int) {
      var queue = queue
      queue.writeEnd = files.writeEnd
      queue.owners = RequestOwners(file: files.owners, threads: threads)
      let settings = group.config.settings
      workers = WorkerScoreboard(processes: settings.processes, threads: settings.threads, file: files.activity)
      self.queue = queue
      // The mappings keep what is needed of the files.
      close(files.owners)
      close(files.activity)
    }

    deinit {
      close(queue.writeEnd)
      queue.owners?.unmap()
      workers?.unmap()
    }
  }

  private static let most = 256

  private let asker: GroupActivation.Asker
  private let held = Mutex<[Int: Held]>([:])

  /// Those of the child that may have requests with process groups.
  private let threads: Int

  init(_ asker: GroupActivation.Asker, threads: Int) {
    self.asker = asker
    self.threads = threads
  }

  /// The group's queue, whose limits are those of `queue`; the supervisor is asked for it unless the child has it.
  func take(_ group: ChildGroup, _ queue: GroupQueue) throws(ActivationFailure) -> Held {
    let now = Clock.monotonicMilliseconds()
    if let known = held.withLock({ $0[group.place] }) {
      known.used.store(now, ordering: .relaxed)
      return known
    }
    let files = try asker.ask(group.place, milliseconds: queue.connectTimeout).get()
    let new = Held(files, group, queue, threads: threads)
    new.used.store(now, ordering: .relaxed)
    held.withLock { held in
      // Another thread may have asked at the same time: the later answer is as good.
      held[group.place] = new
      guard held.count > QueuesOnDemand.most else { return }
      let oldest = held.min { $0.value.used.load(ordering: .relaxed) < $1.value.used.load(ordering: .relaxed) }
      if let oldest { held[oldest.key] = nil }
    }
    return new
  }

  /// The group's memory as the status page reads it, in no more than a moment. It is not kept: to look at all groups must not
  /// push out what requests use.
  func look(at group: ChildGroup) -> Held? {
    if let known = held.withLock({ $0[group.place] }) { return known }
    guard let queue = group.queue, let files = try? asker.ask(group.place, milliseconds: 250).get() else { return nil }
    return Held(files, group, queue, threads: threads)
  }

  /// The queue is closed; the next request asks for another.
  func forget(_ closed: Held, of group: ChildGroup) {
    held.withLock { if $0[group.place] === closed { $0[group.place] = nil } }
  }
}
