import DaemonTransport
import Glibc
import Platform
import ProcessSupervision
import Synchronization
import WSGIConfig
import WSGICore

/// The queues of groups made on demand that an httpd child holds: those that it used last. Any thread may use it.
final class QueuesOnDemand: Sendable {
  /// A group as the child asks for it.
  struct Name: Sendable {
    /// The group, or the template of which a tenant's is made.
    let group: ChildGroup
    /// Who owns the script, where `group` is a template.
    var owner: ScriptUser?

    fileprivate var tenant: Tenant? { owner.map { Tenant(key: $0.key, user: $0.user) } }
    fileprivate var place: Place { Place(place: group.place, key: owner?.key) }
  }

  fileprivate struct Place: Hashable {
    var place: Int
    var key: TenantKey?
  }

  /// One group's; a request that runs keeps it, whatever becomes of the child's list.
  final class Held: Sendable {
    let group: ChildGroup
    let queue: GroupQueue
    let workers: WorkerScoreboard?
    let sessions: SessionSlots?
    /// The supervisor has been told of a script that a preloader of the group could load.
    fileprivate let hasNamedScript: Bool
    /// When it was last wanted, in milliseconds of the monotonic clock.
    fileprivate let used = Atomic<Int64>(0)

    fileprivate init(_ files: GroupFiles, _ group: ChildGroup, _ queue: GroupQueue, threads: Int, hasNamedScript: Bool) {
      self.group = group
      self.hasNamedScript = hasNamedScript
      var queue = queue
      queue.writeEnd = files.writeEnd
      queue.owners = RequestOwners(file: files.owners, threads: threads)
      let settings = group.config.settings
      workers = WorkerScoreboard(processes: settings.processes, threads: settings.threads, file: files.activity)
      self.queue = queue
      sessions = queue.owners == nil ? nil : SessionSlots(group.config, kept: files.sessions)
      sessions?.open()
      // The mappings keep what is needed of the files.
      close(files.owners)
      close(files.activity)
      if files.sessions >= 0 { close(files.sessions) }
    }

    /// How many stay open.
    fileprivate var descriptors: Int { 1 + (sessions?.queues.count ?? 0) }

    /// The supervisor has given the queue back.
    fileprivate var isClosed: Bool {
      waitUntilReady(queue.writeEnd, for: 0, milliseconds: 0).first & (POLLHUP | POLLERR) != 0
    }

    deinit {
      close(queue.writeEnd)
      queue.owners?.unmap()
      workers?.unmap()
      sessions?.close()
    }
  }

  /// The most descriptors that a child has open for them.
  private static let most = 256

  private let asker: GroupActivation.Asker
  /// Makes a tenant's group.
  private let make: @Sendable (Name, GroupActivation.Asker.Found) -> ChildGroup?
  /// Those of the child that may have requests with process groups.
  private let threads: Int
  private let held = Mutex<[Place: Held]>([:])

  init(
    _ asker: GroupActivation.Asker, threads: Int, make: @escaping @Sendable (Name, GroupActivation.Asker.Found) -> ChildGroup?
  ) {
    self.asker = asker
    self.threads = threads
    self.make = make
  }

  /// The group's queue; the supervisor is asked for it unless the child has it. `script` gives that of the request, if a
  /// preloader of the group could load it.
  func take(_ name: Name, script wanted: () -> ScriptPath?) throws(ActivationFailure) -> Held {
    let now = Clock.monotonicMilliseconds()
    let place = name.place
    var script: ScriptPath?
    if let known = held.withLock({ $0[place] }) {
      known.used.store(now, ordering: .relaxed)
      guard name.group.preloadsTenants, !known.hasNamedScript else { return known }
      // The group was asked for by a request for another script.
      script = wanted()
      if script == nil { return known }
    } else {
      script = wanted()
    }
    let new = try ask(name, script: script, milliseconds: name.group.queue?.connectTimeout ?? 0)
    new.used.store(now, ordering: .relaxed)
    // What falls out of the list is closed after others have the list again.
    let dropped = held.withLock { QueuesOnDemand.add(new, place, to: &$0) }
    withExtendedLifetime(dropped) {}
    return new
  }

  /// The result is what the list has no more.
  private static func add(_ new: Held, _ place: Place, to held: inout [Place: Held]) -> [Held] {
    // Nobody may ever come for the closed ones again.
    var dropped = held.filter(\.value.isClosed).map(\.key).compactMap { held.removeValue(forKey: $0) }
    // Another thread may have asked at the same time: the later answer is as good.
    if let other = held.updateValue(new, forKey: place) { dropped.append(other) }
    var count = held.values.reduce(0) { $0 + $1.descriptors }
    guard count > most else { return dropped }
    let used = held.sorted { $0.value.used.load(ordering: .relaxed) < $1.value.used.load(ordering: .relaxed) }
    for (place, old) in used where count > most && old !== new {
      count -= old.descriptors
      held[place] = nil
      dropped.append(old)
    }
    return dropped
  }

  private func ask(_ name: Name, script: ScriptPath? = nil, milliseconds: Int64) throws(ActivationFailure) -> Held {
    let found = try asker.ask(name.group.place, name.tenant, script: script, milliseconds: milliseconds).get()
    guard let group = name.owner == nil ? name.group : make(name, found), let queue = group.queue else {
      found.files.closeAll()
      throw .refused(errno: ENOMEM)
    }
    return Held(found.files, group, queue, threads: threads, hasNamedScript: script != nil)
  }

  /// The group's memory as the status page reads it, in no more than a moment. It is not kept: to look at all groups must not
  /// push out what requests use.
  func look(at name: Name) -> Held? {
    let place = name.place
    return held.withLock { $0[place] } ?? (try? ask(name, milliseconds: 250))
  }

  /// The queue is closed; the next request asks for another.
  func forget(_ closed: Held, _ name: Name) {
    let place = name.place
    held.withLock { if $0[place] === closed { $0[place] = nil } }
  }
}
