import CHTTPD
import Glibc
import Platform
import RequestCounting
import WSGIConfig

/// State of an httpd child beside what it inherited.
final class HTTPDChild: Sendable {
  let process = getpid()
  let python: EmbeddedPython
  /// The child's place in the book of requests; nil where there was no memory for one.
  let seat: ChildSeat?
  /// nil: no group is made on demand.
  let queues: QueuesOnDemand?

  /// SAFETY: written by the child's main thread before its other threads exist, and after they have ended or while nothing
  /// can be done about them any more.
  nonisolated(unsafe) private(set) static var current: HTTPDChild?

  private init(_ generation: Generation) {
    python = EmbeddedPython(generation)
    seat = generation.book?.takeSeat(pid: process, now: Clock.epochMicroseconds())
    queues = generation.processGroups?.makeAsker().map {
      QueuesOnDemand($0, threads: Generation.ownerThreads) { generation.group(of: $0, $1) }
    }
  }

  static func begin(_ generation: Generation, _ pool: OpaquePointer) {
    let child = HTTPDChild(generation)
    current = child
    wsgi_httpd_at_pool_end(pool, nil, end)
    if generation.configuration.expectsEmbedded { child.python.start() }
  }

  private static let end: @convention(c) (UnsafeMutableRawPointer?) -> Int32 = { _ in
    current?.python.end()
    return HookResult.ok
  }
}

@c @implementation
func wsgi_swift_child_init(_ pool: OpaquePointer, _ mainServer: OpaquePointer) {
  guard let generation = Generation.current else { return }
  ProcessGroups.becomeChild(of: generation.processGroups)
  HTTPDChild.begin(generation, pool)
}
