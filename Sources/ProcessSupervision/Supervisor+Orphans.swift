import CPosix
import Glibc
import Platform
import WSGICore

/// Children of this process that nothing waits for.
extension Supervisor {
  /// At most so many strangers are reaped before the loop goes on.
  private static let mostStrangers = 1000

  /// At least so often it is looked for strangers, in microseconds, and for questions of httpd's children. Where orphans come
  /// here, those of all tenants do: they must not keep the system's process ids for long.
  var strangersPause: Int64 { hasMoreStrangers ? 0 : adoptsOrphans || activation != nil ? 1_000_000 : 10_000_000 }

  /// These may take for ever, if a tenant sees to that: nothing waits for them.
  func reapUnattended() {
    var end = wsgi_posix_end()
    unattended.removeAll { wsgi_posix_reap($0, &end) != 0 }
    reapStrangers()
  }

  /// Reaps children that this process has not started: a tenant can make its supervisor the parent of a process (CLONE_PARENT),
  /// which would stay a zombie, and this process may adopt orphans.
  private func reapStrangers() {
    guard reapsStrangers else { return }
    var end = wsgi_posix_end()
    var known: Set<Int32>?
    for _ in 0..<Self.mostStrangers {
      let pid = wsgi_posix_any_ended()
      hasMoreStrangers = pid > 0
      guard pid > 0 else { return }
      let ours = known ?? knownProcesses
      known = ours
      // Behind a process whose end is about to be noticed there may be others: they are found after it.
      guard !ours.contains(pid) else {
        hasMoreStrangers = false
        return
      }
      _ = wsgi_posix_reap(pid, &end)
    }
  }

  /// The processes that this process has started, or knows for workers.
  var knownProcesses: Set<Int32> {
    var known = Set(unattended)
    for group in groups {
      known.formUnion(group.processes.map(\.pid))
      known.formUnion(outputs(of: group).map(\.relay))
    }
    return known
  }

  /// Makes this process the parent of processes whose parents end: only of its children it learns how they ended.
  func adoptOrphans() {
    let result = wsgi_posix_adopt_orphans()
    adoptsOrphans = result == 0
    guard !adoptsOrphans else { return }
    log(
      nil, .warning,
      "WSGI0718: Cannot preload scripts: prctl(PR_SET_CHILD_SUBREAPER): \(String(cString: strerror(-result))). The processes of"
        + " groups with preload=On load their scripts themselves.")
  }
}
