import CHTTPD
import Glibc
import Platform
import ProcessSupervision
import RequestCounting
import WSGIConfig
import WSGICore

/// One reading of the configuration, from `post_config` until httpd throws it away at a restart or its end.
///
/// Made in the parent; httpd's children inherit it by fork and read it on all their threads.
final class Generation: @unchecked Sendable {  // constant once httpd has children
  let configuration: Configuration
  let mainServer: OpaquePointer
  /// The pool that httpd keeps the configuration in; what belongs to the generation is tied to it.
  let pool: OpaquePointer
  /// The groups of `configuration.groups`, in their order; empty if there was no memory for the book.
  private(set) var groups: [ChildGroup] = []
  /// The parent's side of the groups; nil if none is declared.
  private(set) var processGroups: ProcessGroups?
  /// Counts requests: one row for embedded mode, then one for each of `configuration.groups`; nil: there was no memory for it.
  let book: RequestBook?
  /// Where embedded requests are counted.
  let embeddedRow: RequestBook.Row?
  /// Where applications of embedded mode ask for reloads; nil: each child knows of those that were asked for in it.
  let reloadBoard = SharedMemory(size: HostBoard.size)
  private let users: CountedUsers
  private let owner = getpid()
  /// When this reading of the configuration was put to use, in microseconds since the epoch.
  let started = Clock.epochMicroseconds()

  /// SAFETY: written by the parent's main thread while there are no other threads, in post_config and the pool's cleanup.
  nonisolated(unsafe) private(set) static var current: Generation?

  private init(_ configuration: Configuration, _ mainServer: OpaquePointer, _ pool: OpaquePointer) {
    self.configuration = configuration
    self.mainServer = mainServer
    self.pool = pool
    let facts = wsgi_httpd_get_facts()
    let owners = configuration.groups.filter { !$0.settings.isService }
    let tenants = configuration.tenantCount
    users = CountedUsers(ofGroups: owners.map { GroupPlan.userID(of: $0) }, mayGainGroups: tenants > 0)
    let threads = Int(facts.maximum_threads)
    book = RequestBook(
      rows: configuration.groups.count + tenants + 1, users: users.count + tenants, children: Generation.seats(facts),
      threads: threads,
      shares: ThreadShares(
        children: Int(facts.maximum_processes), threads: threads, hasOtherGroups: owners.count > 1 || tenants > 0),
      spoolLimit: configuration.global.spoolLimit)
    embeddedRow = book?.row(0)
  }

  /// The row of a group by its place in `configuration.groups`; that of embedded mode comes before them.
  func row(_ place: Int, for group: GroupConfig) -> RequestBook.Row? {
    book?.row(place + 1, user: users[GroupPlan.userID(of: group)])
  }

  /// The row of a tenant's group, whose user is counted under a number of its own.
  func row(_ place: Int, user: Int?) -> RequestBook.Row? { book?.row(place + 1, user: user) }

  /// The number under which the groups of a user are counted together: that of declared ones, or one for the tenant in a place.
  func userNumber(_ user: UInt32, _ place: Int) -> Int? { users[user] ?? users.count + place - configuration.groups.count }

  /// The group in a place in `configuration.groups`, which is all that a configuration can say of it.
  func group(_ place: Int) -> ChildGroup? { groups.indices.contains(place) ? groups[place] : nil }

  /// Twice as many children as may serve: those of the last configuration are still there while they finish.
  static func seats(_ facts: wsgi_httpd_facts) -> Int { min(max(64, Int(facts.maximum_processes) &* 2), 65536) }

  /// The threads of a child that may have requests with process groups: HTTP/2 adds some to those of the MPM.
  static var ownerThreads: Int { Int(wsgi_httpd_get_facts().maximum_threads) &* 2 &+ 8 }

  /// Puts to use what has been read.
  static func begin(_ mainServer: OpaquePointer, _ pool: OpaquePointer) -> Generation {
    let generation = Generation(PendingConfiguration.configuration(mainServer), mainServer, pool)
    current = generation
    ServerObject.identifyAll(from: mainServer, pool)
    wsgi_httpd_at_pool_end(pool, nil) { _ in
      Generation.end()
      return HookResult.ok
    }
    (generation.groups, generation.processGroups) = ProcessGroups.make(generation)
    return generation
  }

  /// httpd's scoreboard is there. The configuration is looked over while the process groups start, as that takes time too.
  func start() {
    processGroups?.startSupervisor()
    StartupWarnings.report(configuration, mainServer)
  }

  static func end() {
    if let current {
      // Children that use the groups' queues are in the book until the last has ended. In a child, threads may still count.
      if let groups = current.processGroups {
        groups.configurationEnded()
      } else if getpid() == current.owner {
        current.book?.unmap()
      }
      // A server of a single process runs Python in this one.
      if getpid() == current.owner, wsgi_httpd_is_single_process() == 0 { current.reloadBoard?.unmap() }
    }
    current = nil
  }

  /// The settings of the engine in httpd's children, encoded.
  var embeddedSettings: [UInt8] {
    let facts = wsgi_httpd_get_facts()
    var settings = configuration.global.embeddedSettings(
      processes: Int(facts.maximum_processes), threads: Int(facts.maximum_threads),
      isSingleProcess: wsgi_httpd_is_single_process() != 0)
    settings.add(ServerFacts(facts))
    return settings.encoded()
  }
}

/// Information on httpd for applications.
struct ServerFacts {
  private let version: String
  private let description, built, mpm: [UInt8]
  private let processes, threads: Int

  init(_ facts: wsgi_httpd_facts) {
    version = "\(facts.major).\(facts.minor).\(facts.patch)"
    description = ByteText(facts.description).bytes
    built = ByteText(facts.built).bytes
    mpm = ByteText(facts.mpm).bytes
    processes = Int(facts.maximum_processes)
    threads = Int(facts.maximum_threads)
  }

  fileprivate func add(to settings: inout EngineSettings) {
    settings.apacheVersion = version
    settings.apacheDescription = description
    settings.apacheBuilt = built
    settings.mpmName = mpm
    settings.mpmProcesses = processes
    settings.mpmThreads = threads
  }
}

extension EngineSettings {
  mutating func add(_ facts: ServerFacts) { facts.add(to: &self) }
}

@c @implementation
func wsgi_swift_pre_config(_ pool: OpaquePointer, _ log: OpaquePointer, _ temporary: OpaquePointer) -> Int32 {
  PendingConfiguration.begin()
  return HookResult.ok
}

/// Runs when the whole configuration has been read. It refuses what cannot work; `apachectl configtest` also prints warnings.
@c @implementation
func wsgi_swift_check_config(
  _ pool: OpaquePointer, _ logPool: OpaquePointer, _ temporary: OpaquePointer, _ mainServer: OpaquePointer
) -> Int32 {
  let configuration = PendingConfiguration.configuration(mainServer)
  let refusals = configuration.refusals
  for refusal in refusals { log(.error, OpaquePointer(bitPattern: refusal.server) ?? mainServer, refusal.message) }
  guard refusals.isEmpty else { return HookResult.refused }
  if wsgi_httpd_is_config_test() != 0 {
    if wsgi_httpd_is_defined("DUMP_WSGI") != 0 { StartupWarnings.dump(configuration, mainServer, temporary) }
    StartupWarnings.report(configuration, mainServer)
  }
  return HookResult.ok
}

@c @implementation
func wsgi_swift_post_config(
  _ pool: OpaquePointer, _ logPool: OpaquePointer, _ temporary: OpaquePointer, _ mainServer: OpaquePointer
) -> Int32 {
  // httpd reads the configuration twice when it starts, and throws the first reading away.
  guard wsgi_httpd_is_dry_run() == 0 else { return HookResult.ok }
  wsgi_httpd_add_version_component(pool, poolCopy("mod_wsgi/\(ModuleVersion.text)", pool))
  if let version = EngineDirectory.preferredVersion {
    wsgi_httpd_add_version_component(pool, poolCopy("Python/\(version)", pool))
  }
  let generation = Generation.begin(mainServer, pool)
  // Now, and not before: the error logs are open.
  let engines = EngineDirectory.installed.versions.sorted().map(\.description).joined(separator: ", ")
  log(.info, mainServer, "mod_wsgi \(ModuleVersion.text) with engines for Python \(engines.isEmpty ? "(none)" : engines).")
  // At a graceful restart httpd keeps its scoreboard, and goes on with it at once.
  if wsgi_httpd_has_scoreboard() != 0 { generation.start() }
  return HookResult.ok
}

@c @implementation
func wsgi_swift_scoreboard_is_there() { Generation.current?.start() }
